# shellcheck shell=bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Kernels for the virtual machine: Debian's, each from the release that has it. Sourced by run.sh.

# Modules that the tests may ask the kernel for; Debian builds the rest of what they need in.
vm_modules=(inet_diag tcp_diag udp_diag veth dummy)

# kernel_suite VERSION: the Debian release whose kernel that is.
kernel_suite() {
	case $1 in
	5.10) echo bullseye ;;
	6.1) echo bookworm ;;
	6.12) echo trixie ;;
	newest) echo sid ;;
	*)
		echo "unknown kernel '$1': 5.10, 6.1, 6.12 or newest" >&2
		return 1
		;;
	esac
}

# The machine's own source of Debian packages, which has the other releases too.
debian_uri() {
	local uris

	# shellcheck disable=SC2016 # apt's own variable
	mapfile -t uris < <(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		'Origin: Debian' 'Component: main' 2>/dev/null | grep -v -- '-security')
	[[ -n ${uris[0]-} ]] && printf '%s\n' "${uris[0]}"
}

# kernel_apt_files DIR SUITE: package lists of one release in a folder of their own, so that the
# machine's are left alone. What is installed does not matter: the status file is empty.
kernel_apt_files() {
	local dir=$1 suite=$2 uri

	uri=$(debian_uri) || { packages_update && uri=$(debian_uri); } || {
		echo "apt has no source of Debian packages on this machine" >&2
		return 1
	}
	mkdir -p "$dir"/{lists,cache/archives}/partial
	: >"$dir/status"
	printf 'deb [signed-by=%s] %s %s main\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$suite" >"$dir/sources.list"
}

# kernel_apt DIR COMMAND…: an apt command on these package lists.
kernel_apt() {
	local dir=$1 command=$2

	shift 2
	"$command" -qq -o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State=$dir" -o "Dir::State::Lists=$dir/lists" \
		-o "Dir::State::Status=$dir/status" -o "Dir::Cache=$dir/cache" \
		-o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 \
		-o Acquire::Check-Valid-Until=false "$@" </dev/null
}

# kernel_depends DIR PACKAGE PATTERN: the packages it depends on whose names begin so.
kernel_depends() {
	kernel_apt "$1" apt-cache depends --important "$2" |
		sed -n "s/^[ |]*\(Pre\)\?Depends: \($3.*\)/\2/p"
}

# kernel_packages DIR: the kernel of the day, on which a package without a version depends. From
# Linux 7 on its files are in several packages.
kernel_packages() {
	local image

	image=$(kernel_depends "$1" linux-image-cloud-amd64 'linux-image-[0-9]' | head -n 1)
	printf '%s\n' "$image"
	kernel_depends "$1" "$image" 'linux-binary-\|linux-modules-'
}

# kernel_unpack FROM DIR: out of the packages in FROM, the image as vmlinuz, its release, and the
# modules that may be asked for.
kernel_unpack() {
	local from=$1 dir=$2 release module file

	for file in "$from"/*.deb; do
		dpkg-deb -x "$file" "$from/files"
	done
	file=$(find "$from/files" -name 'vmlinuz*' | head -n 1)
	cp "$file" "$dir/vmlinuz"
	release=$(basename "$(find "$from/files" -path '*/lib/modules/*' -prune | head -n 1)")
	mkdir -p "$dir/root/lib/modules/$release"
	for module in "${vm_modules[@]}"; do
		while read -r file; do
			cp "$file" "$dir/root/lib/modules/$release/"
		done < <(find "$from/files" -name "$module.ko*")
	done
	busybox depmod -b "$dir/root" "$release"
	printf '%s\n' "$release" >"$dir/release"
}

# kernel_fetch VERSION DIR: puts vmlinuz, release and root/ (modules) into DIR, if not there yet.
kernel_fetch() (
	local version=$1 dir=$2 suite tmp packages

	[[ -e $dir/release ]] && return 0
	suite=$(kernel_suite "$version")
	mkdir -p "$(dirname "$dir")"
	tmp=$(mktemp -d "$dir.XXXXXX")
	# shellcheck disable=SC2064 # the folder of now
	trap "rm -rf '$tmp'" EXIT
	mkdir "$tmp/new" "$tmp/packages"
	kernel_apt_files "$tmp/apt" "$suite"
	kernel_apt "$tmp/apt" apt-get update
	mapfile -t packages < <(kernel_packages "$tmp/apt")
	echo "downloading ${packages[*]} of Debian $suite"
	(cd "$tmp/packages" && kernel_apt "$tmp/apt" apt-get download "${packages[@]}")
	kernel_unpack "$tmp/packages" "$tmp/new"
	rm -rf "$dir"
	mv "$tmp/new" "$dir"
)
