#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# damage_stores.bats - damaged documents, states, logs and notes of images, networks, volumes and the build cache: see damage.bash.

load lib
load damage

damaged() { # KIND
    KIND=$1
    images_of
    names_of
    rest_of
}

@test "truncated" { damaged truncated; }
@test "emptied" { damaged emptied; }
@test "garbage" { damaged garbage; }
@test "zeroed" { damaged zeroed; }
@test "a folder" { damaged a_folder; }
@test "a link" { damaged a_link; }
@test "a fifo" { damaged a_fifo; }
@test "endless" { damaged endless; }
@test "of other types" { damaged of_other_types; }
@test "of huge values" { damaged of_huge_values; }
@test "of another kind" { damaged of_another_kind; }
@test "deep" { damaged deep; }
