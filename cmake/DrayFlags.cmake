# Compiler and linker flags of everything in the tree.
add_compile_definitions(_GNU_SOURCE _FILE_OFFSET_BITS=64)
add_compile_options(
    $<$<COMPILE_LANGUAGE:C>:-Wall> $<$<COMPILE_LANGUAGE:C>:-Wextra> $<$<COMPILE_LANGUAGE:C>:-Wshadow>
    $<$<COMPILE_LANGUAGE:C>:-Wconversion> $<$<COMPILE_LANGUAGE:C>:-Wformat=2> $<$<COMPILE_LANGUAGE:C>:-Wvla>
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    $<$<COMPILE_LANGUAGE:C>:-Werror> -fstack-protector-strong -fno-plt -g)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    add_compile_options(-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -ffunction-sections -fdata-sections)
    add_link_options(-Wl,--gc-sections)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)

set(DRAY_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread")
if(DRAY_SANITIZE)
    # gcc warns of truncation that cannot happen when it instruments the code.
    add_compile_options(-fsanitize=${DRAY_SANITIZE} -fno-omit-frame-pointer -O1
                        $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
    add_link_options(-fsanitize=${DRAY_SANITIZE})
endif()
if(DRAY_SANITIZE STREQUAL "thread")
    add_library(dray_tsan STATIC ${CMAKE_CURRENT_LIST_DIR}/tsan.c)
    target_compile_options(dray_tsan PRIVATE -fPIC)
    link_libraries(dray_tsan)
endif()
if(DRAY_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined)
endif()
