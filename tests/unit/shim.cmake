# Tests of core/shim and of the log drivers.
if(DRAY_TESTS)
    set(SHIM_TEST_PLUGINS ${CMAKE_CURRENT_BINARY_DIR}/shim-plugins)
    function(shim_test_plugin target file name)
        add_library(${target} MODULE plugins/${file})
        target_link_libraries(${target} PRIVATE dray_base)
        target_link_options(${target} PRIVATE -Wl,-z,nodelete -Wl,--exclude-libs,ALL)
        set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
            LIBRARY_OUTPUT_DIRECTORY ${SHIM_TEST_PLUGINS})
    endfunction()
    shim_test_plugin(test-host-runtime host_runtime.c runtime-test-host)
    shim_test_plugin(test-slow-log slow_log.c log-test-slow)

    dray_unit_test(test_shim_detach SOURCES test_shim_detach.c ${CMAKE_SOURCE_DIR}/core/shim/detach.c)

    # Each once with a runtime that starts plain processes, once with real containers.
    function(dray_shim_test test source runtime)
        dray_unit_test(${test} SOURCES ${source} shim_harness.c LIBS dray_base)
        target_compile_definitions(${test} PRIVATE SHIM_RUNTIME="${runtime}"
            SHIM_PROGRAM="$<TARGET_FILE:dray-shim>" SHIM_TEST_PLUGINS="${SHIM_TEST_PLUGINS}"
            STAGE_PLUGINS="${DRAY_STAGE}/${DRAY_PLUGIN_DIR}")
        add_dependencies(${test} dray-shim test-host-runtime test-slow-log plugin-log-json-file
            plugin-log-local)
    endfunction()
    foreach(test test_shim test_shim_exec test_shim_log)
        dray_shim_test(${test} ${test}.c test-host)
        if(TARGET plugin-runtime-native)
            dray_shim_test(${test}_native ${test}.c native)
            add_dependencies(${test}_native plugin-runtime-native)
        endif()
    endforeach()

    foreach(driver json-file local)
        string(REPLACE "-" "_" test test_log_${driver})
        dray_unit_test(${test} SOURCES ${test}.c LIBS dray_plugin_host)
        target_compile_definitions(${test} PRIVATE STAGE_PLUGINS="${DRAY_STAGE}/${DRAY_PLUGIN_DIR}")
        add_dependencies(${test} plugin-log-${driver})
    endforeach()
endif()
