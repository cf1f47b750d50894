"""What Edge is called, what it needs, and what is installed with it."""

from pathlib import Path

from setuptools import find_packages, setup

# The floors are what the code needs. Pillow and cryptography have Debian 12's versions as theirs, because the
# Debian package takes libraries with native code from Debian (docs/dependencies.md).
NEEDS = [
    "bottle>=0.13",
    "click>=8.1",
    "cryptography>=38",
    "fpdf2>=2.8",
    "huey>=3.5",
    "jinja2>=3.1",
    "markupsafe>=2.1",
    "peewee>=4.5",
    "phonenumbers>=8.13",
    "pillow>=9.4",
    "pyserial>=3.5",
    "requests>=2.28",
    "routeros-api>=0.21",
    "segno>=1.6",
    "urllib3>=1.26",
    "waitress>=3.0.2",
]
TELEMETRY = ["opentelemetry-api>=1.20", "opentelemetry-sdk>=1.20", "opentelemetry-exporter-otlp-proto-http>=1.20"]
EXTRAS = {
    "test": [
        "aiosmtpd>=1.4.6",
        "hypothesis>=6.100",
        "librouteros>=4.0",
        "mypy>=1.11",
        "prometheus-client>=0.20",
        "pytest>=8.0",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.5",
        "pypdfium2>=4.30",
        "ruff>=0.6",
        "selenium>=4.20",
        "smspdudecoder>=2.2",
        "bitstring<5",  # smspdudecoder does not import with later ones
        "types-requests>=2.28",
        "zxing-cpp>=2.2",
        "psycopg[binary]>=3.1",
        "redis>=5.0",
        *TELEMETRY,
    ],
    "postgres": ["psycopg[binary]>=3.1"],
    "redis": ["redis>=5.0"],
    "telemetry": TELEMETRY,
}

setup(
    name="edge",
    version="0.1.0",
    description="A WiFi hotspot box that sells hours over M-Pesa",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # data/ stands at the top for its readers and is installed as edge/data: edge.texts looks in both places.
    packages=[*find_packages(include=["edge", "edge.*"]), "edge.data"],
    package_dir={"edge.data": "data"},
    package_data={
        "edge": ["templates/*", "templates/**/*", "static/*", "static/**/*"],
        "edge.data": ["*", "**/*"],
    },
    install_requires=NEEDS,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["edge = edge.__main__:main"]},
)
