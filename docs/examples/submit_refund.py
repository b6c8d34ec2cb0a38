"""Asks vomsis-connect for a refund.

    pip install "confluent-kafka[avro,schemaregistry]"
    python submit_refund.py BOOTSTRAP REGISTRY CONNECTION REFERENCE AMOUNT [COMMAND_ID]
"""

import os
import sys
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

# Of another topic_prefix: TOPIC=… python submit_refund.py …
TOPIC = os.environ.get("TOPIC", "vomsis.payment.commands")


def main(bootstrap: str, registry: str, connection: str, reference: str, amount: str,
         command_id: str = "") -> None:
    # A service stores this id with its own order before it sends; here it is printed. Not sure
    # whether the command arrived? Run this again with the id: it is executed once, and answered with
    # DUPLICATE where it had arrived before. A new id is a new refund.
    command_id = command_id or str(uuid.uuid4())
    print(command_id, flush=True)
    now = datetime.now(timezone.utc)
    command = {
        "command_id": command_id,
        "type": "REFUND",
        "connection_id": connection,
        "reference_no": reference,
        "amount": Decimal(amount),  # never by way of a float
        "currency": None,
        "reason": None,
        "requested_by": "order-service",
        "requested_at": now,
        "expires_at": now + timedelta(minutes=15),
    }
    # The schema is the connector's to register: a producer only looks it up. Without a timeout it
    # would wait for a registry that does not answer for ever.
    serialize = AvroSerializer(
        SchemaRegistryClient({"url": registry, "timeout": 10}),
        conf={"auto.register.schemas": False, "use.latest.version": True},
    )
    value = serialize(command, SerializationContext(TOPIC, MessageField.VALUE))

    failures = []
    # The partitioner of Java's clients: librdkafka's own puts the same key elsewhere, and commands of
    # one payment would not stay in order where other producers send them too.
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True,
                         "partitioner": "murmur2_random"})
    # The key must be exactly this: commands of one payment stay in order.
    producer.produce(TOPIC, key=f"{connection}/{reference}", value=value,
                     on_delivery=lambda error, _: failures.append(error) if error else None)
    if producer.flush(30) or failures:
        sys.exit(f"not known to have arrived, send the same id again: {command_id} {failures}")


if __name__ == "__main__":
    main(*sys.argv[1:])
