dray_unit_test(test_kit SOURCES test_kit.c LIBS dray_kit)
