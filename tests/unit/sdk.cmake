# Tests of sdk: every header alone in C17 and C++17, the examples of the guide, the template.
if(DRAY_TESTS)
    set(SDK_GEN ${CMAKE_CURRENT_BINARY_DIR}/sdk)
    file(MAKE_DIRECTORY ${SDK_GEN}/headers)
    file(GLOB sdk_headers RELATIVE ${CMAKE_SOURCE_DIR}/sdk/include CONFIGURE_DEPENDS
        ${CMAKE_SOURCE_DIR}/sdk/include/dray/*.h)
    set(sdk_units "")
    foreach(header ${sdk_headers})
        get_filename_component(name ${header} NAME_WE)
        foreach(language c cpp)
            # Twice, so that its guard is looked at too.
            file(CONFIGURE OUTPUT ${SDK_GEN}/headers/${name}.${language}
                CONTENT "#include <${header}>\n#include <${header}>\n")
            list(APPEND sdk_units ${SDK_GEN}/headers/${name}.${language})
        endforeach()
    endforeach()
    add_library(sdk-headers OBJECT ${sdk_units})
    target_link_libraries(sdk-headers PRIVATE dray_sdk)
    target_compile_options(sdk-headers PRIVATE
        $<$<COMPILE_LANGUAGE:CXX>:-Wall> $<$<COMPILE_LANGUAGE:CXX>:-Wextra> $<$<COMPILE_LANGUAGE:CXX>:-Werror>)

    # Each block of C in the guide opens with its file's name in a comment.
    set(SDK_GUIDE ${CMAKE_SOURCE_DIR}/sdk/GUIDE.md)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${SDK_GUIDE})
    file(MAKE_DIRECTORY ${SDK_GEN}/guide)
    execute_process(COMMAND_ERROR_IS_FATAL ANY WORKING_DIRECTORY ${SDK_GEN}/guide
        COMMAND awk "/^```c$/ {getline; file = $2; on = 1; printf \"\" > file}
            /^```$/ {on = 0} on {print > file}" ${SDK_GUIDE})
    file(GLOB guide_sources ${SDK_GEN}/guide/*.c)
    list(LENGTH guide_sources guide_count)
    if(guide_count LESS 10)
        message(FATAL_ERROR "the guide has ${guide_count} examples, one for each of 10 kinds is due")
    endif()
    add_custom_target(guide-plugins)
    foreach(source ${guide_sources})
        get_filename_component(name ${source} NAME_WE)
        add_library(guide-${name} MODULE ${source})
        target_link_libraries(guide-${name} PRIVATE dray_sdk)
        set_target_properties(guide-${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
            LIBRARY_OUTPUT_DIRECTORY ${SDK_GEN}/plugins)
        # Authors need not compile as strictly as Dray does.
        target_compile_options(guide-${name} PRIVATE -Wno-conversion -Wno-format-truncation)
        if(NOT DRAY_SANITIZE)
            target_link_options(guide-${name} PRIVATE -Wl,-z,defs)
        endif()
        add_dependencies(guide-plugins guide-${name})
    endforeach()
    # A plugin in C++, beside them.
    add_library(guide-cxx MODULE plugins/cxx.cpp)
    target_link_libraries(guide-cxx PRIVATE dray_sdk)
    target_compile_definitions(guide-cxx PRIVATE _GNU_SOURCE)
    set_target_properties(guide-cxx PROPERTIES PREFIX "" OUTPUT_NAME authz-cxx
        CXX_VISIBILITY_PRESET hidden LIBRARY_OUTPUT_DIRECTORY ${SDK_GEN}/plugins)
    add_dependencies(guide-plugins guide-cxx)
    dray_unit_test(test_guide SOURCES test_guide.c LIBS dray_plugin_host)
    target_compile_definitions(test_guide PRIVATE GUIDE_DIR="${SDK_GEN}/plugins")
    add_dependencies(test_guide guide-plugins sdk-headers)

    # The template is a plugin as it is, and its test is one of ours.
    add_library(template-myvol MODULE ${CMAKE_SOURCE_DIR}/sdk/template/myvol.c)
    target_link_libraries(template-myvol PRIVATE dray_sdk)
    set_target_properties(template-myvol PROPERTIES PREFIX "")
    add_executable(test_template ${CMAKE_SOURCE_DIR}/sdk/template/test_myvol.c)
    target_link_libraries(test_template PRIVATE dray_sdk ${CMAKE_DL_LIBS})
    add_test(NAME test_template COMMAND test_template $<TARGET_FILE:template-myvol>)
endif()
