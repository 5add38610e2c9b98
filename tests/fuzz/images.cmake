# fuzz_manifest: manifests, indexes, configs, references; see storage.cmake for how to build.
# For coverage of the engine itself: -DCMAKE_C_FLAGS=-fsanitize=fuzzer-no-link,address,undefined
add_executable(fuzz_manifest ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_manifest.c)
target_compile_options(fuzz_manifest PRIVATE -fsanitize=fuzzer,address,undefined -O1)
target_link_options(fuzz_manifest PRIVATE -fsanitize=fuzzer,address,undefined)
target_link_libraries(fuzz_manifest PRIVATE dray_engine)
