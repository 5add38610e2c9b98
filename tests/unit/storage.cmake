# Tests of the storage and volume drivers and of what they share.
dray_unit_test(test_layer_tar SOURCES test_layer_tar.c LIBS dray_plugin_lib)
dray_unit_test(test_trash SOURCES test_trash.c LIBS dray_plugin_lib)

# Programs that load the drivers as the daemon does: NAME [sources] DRIVERS DEFINE=driver ...
function(dray_storage_test name)
    cmake_parse_arguments(T "" "" "DRIVERS" ${ARGN})
    dray_unit_test(${name} SOURCES ${name}.c ${T_UNPARSED_ARGUMENTS}
        LIBS dray_plugin_lib ${CMAKE_DL_LIBS} Threads::Threads)
    if(TARGET ${name})
        foreach(pair ${T_DRIVERS})
            string(REGEX MATCH "([^=]+)=(.+)" whole ${pair})
            target_compile_definitions(${name} PRIVATE
                ${CMAKE_MATCH_1}="$<TARGET_FILE:plugin-${CMAKE_MATCH_2}>")
            add_dependencies(${name} plugin-${CMAKE_MATCH_2})
        endforeach()
    endif()
endfunction()

foreach(test test_storage test_storage_limits)
    dray_storage_test(${test} storage_suite.c
        DRIVERS OVERLAY_SO=storage-overlay VFS_SO=storage-vfs BTRFS_SO=storage-btrfs)
endforeach()
dray_storage_test(test_volume_local DRIVERS LOCAL_SO=volume-local)

# Not a test: ninja bench_layer_tar, then tests/bench/layer-tar.sh.
add_executable(bench_layer_tar EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/bench/layer_tar.c)
target_link_libraries(bench_layer_tar PRIVATE dray_plugin_lib)

if(TARGET dray_plugin_host)
    dray_unit_test(test_storage_load SOURCES test_storage_load.c LIBS dray_plugin_host)
    if(TARGET test_storage_load)
        target_compile_definitions(test_storage_load PRIVATE
            SPECIMEN_DIR="${DRAY_STAGE}/${DRAY_PLUGIN_DIR}")
        add_dependencies(test_storage_load plugin-storage-overlay plugin-storage-vfs
            plugin-storage-btrfs plugin-volume-local)
    endif()
endif()
