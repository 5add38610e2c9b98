/* SPDX-License-Identifier: Apache-2.0 */
/* test_json_shape.c - values become what their shape says, or are refused. */
#include "check.h"

#include "base/json.h"
#include "base/json_shape.h"

static const struct dray_shape small = DRAY_SHAPE_INT(0, 100, "uint8");
static const struct dray_shape_field inner_fields[] = {{"N", &small, DRAY_SHAPE_OMIT}};
static const struct dray_shape inner = DRAY_SHAPE_STRUCT(inner_fields, "Inner");
static const struct dray_shape inners = DRAY_SHAPE_LIST(&inner, "[]Inner");
static const struct dray_shape_field outer_fields[] = {
    {"Name", &dray_shape_str, 0},       {"On", &dray_shape_bool, 0},
    {"Words", &dray_shape_strslice, 0}, {"Map", &dray_shape_strmap, DRAY_SHAPE_OMIT},
    {"Maybe", &inner, DRAY_SHAPE_PTR},  {"Gone", &inner, DRAY_SHAPE_PTR | DRAY_SHAPE_OMIT},
    {"List", &inners, DRAY_SHAPE_OMIT},
};
static const struct dray_shape outer = DRAY_SHAPE_STRUCT(outer_fields, "Outer");

static void takes(void)
{
    static const struct {
        const char *given, *shown;
    } rows[] = {
        {"{}", "{\"Name\":\"\",\"On\":false,\"Words\":null,\"Maybe\":null}"},
        {"{\"name\":null,\"nosuch\":1,\"Map\":{},\"Gone\":{}}",
         "{\"Name\":\"\",\"On\":false,\"Words\":null,\"Maybe\":null,\"Gone\":{}}"},
        {"{\"Words\":\"w\",\"Map\":{\"k\":null},\"Maybe\":{\"N\":100},\"List\":[null,{\"N\":0}]}",
         "{\"Name\":\"\",\"On\":false,\"Words\":[\"w\"],\"Map\":{\"k\":\"\"},\"Maybe\":{\"N\":100},"
         "\"List\":[{},{}]}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        dray_autojson *v = json_tokener_parse(rows[i].given), *out = NULL;
        CU_ASSERT_EQUAL(dray_shape_take(&outer, v, "Outer", &out, NULL), 0);
        CU_ASSERT_STRING_EQUAL(dray_json_text(out), rows[i].shown);
    }
}

static void refuses(void)
{
    static const struct {
        const char *given, *words;
    } rows[] = {
        {"[]", "cannot unmarshal array into Go struct field Outer of type Outer"},
        {"{\"Name\":1}", "cannot unmarshal number into Go struct field Outer.Name of type string"},
        {"{\"On\":\"\"}", "cannot unmarshal string into Go struct field Outer.On of type bool"},
        {"{\"Words\":[\"\",1]}", "Outer.Words of type string"},
        {"{\"Map\":[]}", "Outer.Map of type map[string]string"},
        {"{\"List\":[{\"N\":101}]}", "Outer.List.N of type uint8"},
        {"{\"List\":[{\"N\":-1}]}", "Outer.List.N of type uint8"},
        {"{\"List\":[{\"N\":1.5}]}", "Outer.List.N of type uint8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct dray_err err = {0};
        dray_autojson *v = json_tokener_parse(rows[i].given);
        CU_ASSERT_EQUAL(dray_shape_check(&outer, v, "Outer", &err), DRAY_E_INVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, rows[i].words));
    }
    dray_autojson *huge = json_tokener_parse("1000000000000000000000000000000");
    CU_ASSERT_EQUAL(dray_shape_check(&dray_shape_int, huge, "N", NULL), DRAY_E_INVAL);
}

static const struct check_case cases[] = {
    {"takes what fits", takes},
    {"refuses what does not", refuses},
};
CHECK_MAIN("json_shape", cases)
