# The runtime drivers.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/test_runtime_native.c)
    dray_unit_test(test_runtime_native SOURCES test_runtime_native.c native_rig.c LIBS ${CMAKE_DL_LIBS})
    if(TARGET test_runtime_native)
        target_compile_definitions(test_runtime_native PRIVATE
            PLUGIN_FILE="$<TARGET_FILE:plugin-runtime-native>")
        add_dependencies(test_runtime_native plugin-runtime-native)
    endif()
endif()
