"""The pretend SMS gateway in a process of its own: whoever is measured shares no thread with it."""

import json
import sys

from edge.simulators.sms_gateway import SmsGatewaySimulator


def main() -> None:
    """`python -m bench.sms_gateway_stage ANSWER_S`: each line on stdin asks how many texts it has, and when."""
    with SmsGatewaySimulator(answer_s=float(sys.argv[1])) as gateway:
        gateway.reports = False
        print(json.dumps(gateway.base_url), flush=True)
        for line in sys.stdin:
            texts = list(gateway.texts)
            told: object = len(texts) if line.strip() == "count" else len({text.to for text in texts})
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
