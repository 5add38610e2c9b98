# Tests that load network and ipam drivers as the daemon does: NAME DRIVER [more sources].
function(dray_driver_test name plugin)
    dray_unit_test(${name} SOURCES ${name}.c ${ARGN} LIBS ${CMAKE_DL_LIBS} Threads::Threads)
    if(TARGET ${name})
        target_compile_definitions(${name} PRIVATE
            PLUGIN_SO="$<TARGET_FILE:plugin-${plugin}>")
        add_dependencies(${name} plugin-${plugin})
    endif()
endfunction()

dray_driver_test(test_ipam ipam-default)
dray_driver_test(test_net_bridge net-bridge net_bridge_rig.c)
dray_driver_test(test_net_bridge_state net-bridge net_bridge_rig.c)

if(TARGET dray_engine)
    dray_unit_test(test_networks SOURCES test_networks.c LIBS dray_engine)
    if(TARGET test_networks)
        target_compile_definitions(test_networks PRIVATE
            PLUGIN_DIR="${DRAY_STAGE}/${DRAY_PLUGIN_DIR}")
        add_dependencies(test_networks plugin-net-bridge plugin-net-host plugin-net-none
            plugin-ipam-default)
    endif()
endif()

dray_unit_test(test_net_lan SOURCES test_net_lan.c LIBS ${CMAKE_DL_LIBS} Threads::Threads)
if(TARGET test_net_lan)
    target_compile_definitions(test_net_lan PRIVATE
        MACVLAN_SO="$<TARGET_FILE:plugin-net-macvlan>" IPVLAN_SO="$<TARGET_FILE:plugin-net-ipvlan>")
    add_dependencies(test_net_lan plugin-net-macvlan plugin-net-ipvlan)
endif()
