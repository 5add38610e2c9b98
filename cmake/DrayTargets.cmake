# dray_module(NAME SOURCES ... LIBS ...): a static library of the core, included as "name/file.h".
# dray_plugin(KIND-NAME SOURCES ... LIBS ...): a driver, one .so with one exported symbol.
# dray_unit_test(NAME SOURCES ... LIBS ...): a CUnit program run by ctest.

set(DRAY_PLUGIN_DIR ${CMAKE_INSTALL_LIBDIR}/dray/plugins)
set(DRAY_LIBEXEC_DIR ${CMAKE_INSTALL_LIBEXECDIR}/dray)
# The build tree mirrors the installed tree, so programs find each other in both.
set(DRAY_STAGE ${CMAKE_BINARY_DIR}/stage)

function(dray_module name)
    cmake_parse_arguments(M "" "" "SOURCES;LIBS" ${ARGN})
    add_library(dray_${name} STATIC ${M_SOURCES})
    target_include_directories(dray_${name} PUBLIC ${CMAKE_SOURCE_DIR}/core)
    target_link_libraries(dray_${name} PUBLIC dray_sdk ${M_LIBS})
endfunction()

function(dray_program name)
    cmake_parse_arguments(M "LIBEXEC" "" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/core)
    target_link_libraries(${name} PRIVATE dray_sdk ${M_LIBS})
    if(M_LIBEXEC)
        set(dir ${DRAY_LIBEXEC_DIR})
    else()
        set(dir ${CMAKE_INSTALL_BINDIR})
    endif()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${DRAY_STAGE}/${dir})
    install(TARGETS ${name} RUNTIME DESTINATION ${dir})
endfunction()

function(dray_plugin name)
    cmake_parse_arguments(M "" "" "SOURCES;LIBS" ${ARGN})
    add_library(plugin-${name} MODULE ${M_SOURCES})
    set_target_properties(plugin-${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
        LIBRARY_OUTPUT_DIRECTORY ${DRAY_STAGE}/${DRAY_PLUGIN_DIR})
    target_link_libraries(plugin-${name} PRIVATE dray_sdk ${M_LIBS})
    target_link_options(plugin-${name} PRIVATE -Wl,-z,nodelete)
    if(NOT DRAY_SANITIZE)
        target_link_options(plugin-${name} PRIVATE -Wl,-z,defs -Wl,--exclude-libs,ALL)
    endif()
    install(TARGETS plugin-${name} LIBRARY DESTINATION ${DRAY_PLUGIN_DIR})
endfunction()

function(dray_unit_test name)
    if(NOT DRAY_TESTS)
        return()
    endif()
    cmake_parse_arguments(M "" "" "SOURCES;LIBS" ${ARGN})
    add_executable(${name} ${M_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/core ${CMAKE_SOURCE_DIR}/tests/unit)
    target_link_libraries(${name} PRIVATE dray_sdk PkgConfig::CUNIT ${M_LIBS})
    add_test(NAME ${name} COMMAND ${name})
endfunction()
