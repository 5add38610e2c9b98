# Tests of the image part of core/engine.
dray_unit_test(test_image_ref SOURCES test_image_ref.c LIBS dray_engine)
dray_unit_test(test_tar_scan SOURCES test_tar_scan.c LIBS dray_engine PkgConfig::ARCHIVE)
dray_unit_test(test_inflate SOURCES test_inflate.c LIBS dray_engine)
dray_unit_test(test_image_store SOURCES test_image_store.c LIBS dray_engine)
if(TARGET test_image_store)
    target_compile_definitions(test_image_store PRIVATE VFS_SO="$<TARGET_FILE:plugin-storage-vfs>")
    add_dependencies(test_image_store plugin-storage-vfs)
endif()
