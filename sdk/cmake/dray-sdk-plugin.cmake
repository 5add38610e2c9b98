# dray_add_plugin(NAME KIND volume [network ...] SOURCES a.c ... [LIBS lib ...])
#
# Builds KIND-NAME.so (of the first kind) with the flags that Dray asks for, looks whether its card
# names what is written here, and installs it among the plugins. The target is called NAME.
# DRAY_PLUGIN_SANITIZE=ON builds without -z defs, which sanitizers cannot take.
function(dray_add_plugin name)
    cmake_parse_arguments(P "" "" "KIND;SOURCES;LIBS" ${ARGN})
    if(NOT P_KIND OR NOT P_SOURCES)
        message(FATAL_ERROR "dray_add_plugin(${name}): KIND and SOURCES are needed")
    endif()
    set(known storage network ipam volume registry runtime log builder authz extension)
    foreach(kind ${P_KIND})
        if(NOT kind IN_LIST known)
            message(FATAL_ERROR "dray_add_plugin(${name}): unknown kind ${kind}; known: ${known}")
        endif()
    endforeach()
    list(GET P_KIND 0 first)
    add_library(${name} MODULE ${P_SOURCES})
    set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${first}-${name}
        POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
        VISIBILITY_INLINES_HIDDEN ON)
    target_link_libraries(${name} PRIVATE dray::sdk ${P_LIBS})
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_link_options(${name} PRIVATE -Wl,-z,now,-z,relro,-z,nodelete,-z,noexecstack)
    if(NOT DRAY_PLUGIN_SANITIZE)
        target_link_options(${name} PRIVATE -Wl,-z,defs -Wl,--exclude-libs,ALL)
    endif()
    add_custom_command(TARGET ${name} POST_BUILD VERBATIM COMMAND ${CMAKE_COMMAND}
        "-DFILE=$<TARGET_FILE:${name}>" "-DNAME=${name}" "-DKINDS=${P_KIND}"
        -P "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/dray-sdk-check.cmake")
    if(DRAY_PLUGIN_INSTALL_DIR)
        install(TARGETS ${name} LIBRARY DESTINATION ${DRAY_PLUGIN_INSTALL_DIR})
    endif()
endfunction()
