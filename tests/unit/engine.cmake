dray_unit_test(test_container_config SOURCES test_container_config.c LIBS dray_engine)
dray_unit_test(test_security SOURCES test_security.c LIBS dray_engine)
dray_unit_test(test_workq SOURCES test_workq.c LIBS dray_engine)
dray_unit_test(test_remap SOURCES test_remap.c LIBS dray_engine)
