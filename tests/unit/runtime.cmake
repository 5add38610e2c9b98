# The runtime drivers.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/test_runtime_native.c)
    dray_unit_test(test_runtime_native SOURCES test_runtime_native.c native_rig.c LIBS ${CMAKE_DL_LIBS})
    if(TARGET test_runtime_native)
        target_compile_definitions(test_runtime_native PRIVATE
            PLUGIN_FILE="$<TARGET_FILE:plugin-runtime-native>")
        add_dependencies(test_runtime_native plugin-runtime-native)
    endif()
endif()
set(native ${CMAKE_SOURCE_DIR}/plugins/runtime-native)
dray_unit_test(test_native_parts
    SOURCES test_native_parts.c ${native}/compact.c ${native}/mount.c ${native}/mount_options.c ${native}/program.c
        ${native}/rootfs.c ${native}/seccomp.c ${native}/seccomp_cache.c
    LIBS dray_plugin_runtime PkgConfig::SECCOMP)
dray_unit_test(test_filter_compact SOURCES test_filter_compact.c ${native}/compact.c
    LIBS dray_plugin_runtime PkgConfig::SECCOMP)
foreach(test test_native_parts test_filter_compact)
    if(TARGET ${test})
        target_include_directories(${test} PRIVATE ${native})
    endif()
endforeach()
