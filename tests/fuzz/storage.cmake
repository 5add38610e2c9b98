# fuzz_layer_tar: cmake -DDRAY_FUZZ=ON -DCMAKE_C_COMPILER=clang; seeds with tests/fuzz/seeds.py DIR.
file(GLOB sources ${CMAKE_SOURCE_DIR}/plugins/lib/tar_*.c ${CMAKE_SOURCE_DIR}/plugins/lib/tree_*.c)
add_executable(fuzz_layer_tar ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_layer_tar.c ${sources}
    ${CMAKE_SOURCE_DIR}/plugins/lib/files.c ${CMAKE_SOURCE_DIR}/plugins/lib/files_tree.c
    ${CMAKE_SOURCE_DIR}/plugins/lib/inoset.c ${CMAKE_SOURCE_DIR}/plugins/lib/xattrs.c)
target_include_directories(fuzz_layer_tar PRIVATE ${CMAKE_SOURCE_DIR}/plugins/lib)
target_compile_options(fuzz_layer_tar PRIVATE -fsanitize=fuzzer,address,undefined -O1)
target_link_options(fuzz_layer_tar PRIVATE -fsanitize=fuzzer,address,undefined)
target_link_libraries(fuzz_layer_tar PRIVATE dray_sdk PkgConfig::ARCHIVE Threads::Threads)
