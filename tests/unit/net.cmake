# Tests that load network and ipam drivers as the daemon does.
function(dray_driver_test name plugin)
    dray_unit_test(${name} SOURCES ${name}.c LIBS ${CMAKE_DL_LIBS} Threads::Threads)
    if(TARGET ${name})
        target_compile_definitions(${name} PRIVATE
            PLUGIN_SO="$<TARGET_FILE:plugin-${plugin}>")
        add_dependencies(${name} plugin-${plugin})
    endif()
endfunction()

dray_driver_test(test_ipam ipam-default)
dray_driver_test(test_net_bridge net-bridge)
