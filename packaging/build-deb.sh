#!/usr/bin/env bash
# Build dist/edge_VERSION_all.deb: our code and its pure-Python libraries in /usr/lib/edge, native ones from Debian.
# Needs dpkg-deb, python3 with pip (make setup brings one) and, for the wheels, the package registry.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
"$python" -m pip --version >/dev/null 2>&1 || { echo "pip is missing: run make setup first" >&2; exit 1; }
version=$("$python" -c 'import re; print(re.search(r"version=\"([^\"]+)\"", open("setup.py").read())[1])')
# A fixed time makes two builds of one commit the same file.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 1764000000)}
export SOURCE_DATE_EPOCH
root=build/deb
wheels=build/wheels

rm -rf "$root" "$wheels"
install -d "$root/DEBIAN" "$root/usr/bin" "$root/usr/lib/edge/app" "$root/usr/lib/edge/vendor" dist "$wheels"

echo "Fetching pure-Python wheels (packaging/requirements.lock)"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --platform any --implementation py --abi none --python-version 3.11 \
    -r packaging/requirements.lock -d "$wheels"
"$python" -m pip install --quiet --disable-pip-version-check --isolated --no-index --no-deps --no-compile \
    --only-binary=:all: --platform any --implementation py --abi none --python-version 3.11 \
    --target "$root/usr/lib/edge/vendor" "$wheels"/*.whl
rm -rf "$root/usr/lib/edge/vendor/bin"

cp -r edge "$root/usr/lib/edge/app/edge"
cp -r data "$root/usr/lib/edge/app/edge/data"
find "$root/usr/lib/edge" \( -name __pycache__ -o -name RECORD -o -name REQUESTED -o -name direct_url.json \) \
    -prune -exec rm -rf {} +
find "$root/usr/lib/edge" -name '*.py' -exec sed -i '1{/^#!/d}' {} +

install -m 755 packaging/debian/edge "$root/usr/bin/edge"
install -Dm 644 packaging/debian/sysusers.conf "$root/usr/lib/sysusers.d/edge.conf"
install -Dm 644 -t "$root/lib/systemd/system" packaging/systemd/*.service
install -Dm 644 packaging/udev/77-edge-modem.rules "$root/lib/udev/rules.d/77-edge-modem.rules"
install -Dm 644 -t "$root/usr/share/doc/edge" packaging/debian/copyright CHANGELOG.md README.md docs/*.md
install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"

chmod -R u=rwX,go=rX "$root"
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@SIZE@/$size/" packaging/debian/control > "$root/DEBIAN/control"
(cd "$root" && find usr lib -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 -r touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
dpkg-deb --root-owner-group -Zxz --build "$root" "dist/edge_${version}_all.deb"
