#!/usr/bin/env bash
# room.sh: jobs run out of room on small ext4, btrfs and xfs filesystems, of file size and of
# handles; then there is more, and the same command finishes. Needs root, for it mounts.
set -euo pipefail
# shellcheck source=scripts/campaign/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/campaign/environment.sh"
need mkfs.ext4 e2fsprogs
need mkfs.btrfs btrfs-progs
need mkfs.xfs xfsprogs
exec python3 -m campaign.room "$@"
