# fuzz_dockerfile, fuzz_dockerignore: cmake -DDRAY_FUZZ=ON -DCMAKE_C_COMPILER=clang; the words of
# the language are in tests/fuzz/dockerfile.dict (-dict=).
set(lang ${CMAKE_SOURCE_DIR}/plugins/builder-dockerfile/lang)
file(GLOB lang_fuzz_sources ${lang}/*.c)
add_executable(fuzz_dockerfile ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_dockerfile.c ${lang_fuzz_sources})
add_executable(fuzz_dockerignore ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_dockerignore.c)
target_include_directories(fuzz_dockerfile PRIVATE ${lang})
foreach(target fuzz_dockerfile fuzz_dockerignore)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined -O1)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer,address,undefined)
    target_link_libraries(${target} PRIVATE dray_sdk PkgConfig::JSONC)
endforeach()
