#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# prepare.sh - make what the integration tests need from the network, once a machine. A test whose part
# could not be made says so itself.
cd "$(dirname "$0")" || exit 1
BATS_TEST_DIRNAME=$PWD
. ./lib.bash
. ./registry.bash
busybox_tar >/dev/null
python_oci >/dev/null
./buildx.sh >/dev/null
./firewalls.sh >/dev/null
