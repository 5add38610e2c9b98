# Tests of the storage and volume drivers and of what they share.
dray_unit_test(test_layer_tar SOURCES test_layer_tar.c LIBS dray_plugin_lib)
