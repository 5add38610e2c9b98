dray_unit_test(test_filters SOURCES test_filters.c LIBS dray_engine)
dray_unit_test(test_events SOURCES test_events.c LIBS dray_engine)
dray_unit_test(test_config SOURCES test_config.c LIBS dray_engine)
dray_unit_test(test_http SOURCES test_http.c LIBS dray_api)
