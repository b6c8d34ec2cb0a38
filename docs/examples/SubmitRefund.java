import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.math.BigDecimal;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.UUID;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Asks vomsis-connect for a refund.
 *
 * <p>Needs kafka-clients, avro and jackson-databind on the class path. A service that uses a registry's serializer
 * leaves {@link #latest} and {@link #encode} to it; shown here is what stands on the wire.
 *
 * <pre>java -cp 'libs/*' SubmitRefund.java BOOTSTRAP REGISTRY CONNECTION REFERENCE AMOUNT [COMMAND_ID]</pre>
 */
public final class SubmitRefund {
    /** Of another topic_prefix: -Dtopic=… */
    private static final String TOPIC = System.getProperty("topic", "vomsis.payment.commands");

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        String registry = arguments[1];
        String connection = arguments[2];
        String reference = arguments[3];
        // Never by way of a double: 0.1 is not 0.10.
        BigDecimal amount = new BigDecimal(arguments[4]).setScale(5);

        // A service stores this id with its own order before it sends; here it is printed. Not sure
        // whether the command arrived? Run this again with the id: it is executed once, and answered
        // with DUPLICATE where it had arrived before. A new id is a new refund.
        UUID commandId = arguments.length > 5 ? UUID.fromString(arguments[5]) : UUID.randomUUID();
        System.out.println(commandId);

        JsonNode registered = latest(registry);
        Schema schema = new Schema.Parser().parse(registered.get("schema").asText());
        GenericRecord command = new GenericData.Record(schema);
        command.put("command_id", commandId.toString());
        command.put("type", "REFUND");
        command.put("connection_id", connection);
        command.put("reference_no", reference);
        command.put("amount", decimal(amount, schema));
        command.put("requested_by", "order-service");
        command.put("requested_at", System.currentTimeMillis());
        command.put("expires_at", System.currentTimeMillis() + 15 * 60 * 1000);

        byte[] value = encode(registered.get("id").asInt(), schema, command);
        // The key must be exactly this: commands of one payment stay in order.
        String key = connection + "/" + reference;

        // What is not known to have arrived within a minute is sent again under the same id.
        Map<String, Object> settings =
                Map.of(
                        "bootstrap.servers", bootstrap,
                        "acks", "all",
                        "enable.idempotence", true,
                        "max.block.ms", 30_000,
                        "request.timeout.ms", 10_000,
                        "delivery.timeout.ms", 30_000);
        try (KafkaProducer<String, byte[]> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>(TOPIC, key, value)).get();
        }
    }

    private static ByteBuffer decimal(BigDecimal amount, Schema schema) {
        Schema nullable = schema.getField("amount").schema();
        Schema bytes = nullable.getTypes().get(1);
        return new Conversions.DecimalConversion()
                .toBytes(amount, bytes, bytes.getLogicalType());
    }

    /** The newest version of the topic's schema, with its id: the connector has registered it. */
    private static JsonNode latest(String registry) throws Exception {
        String url = registry + "/subjects/" + TOPIC + "-value/versions/latest";
        HttpResponse<String> answer =
                HttpClient.newHttpClient()
                        .send(
                                HttpRequest.newBuilder(URI.create(url))
                                        .timeout(Duration.ofSeconds(10))
                                        .build(),
                                HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException("registry: " + answer.statusCode() + " " + answer.body());
        }
        return new ObjectMapper().readTree(answer.body());
    }

    /** A zero byte, the schema id, Avro. */
    private static byte[] encode(int id, Schema schema, GenericRecord command) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(0);
        out.write(ByteBuffer.allocate(4).putInt(id).array());
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(schema).write(command, encoder);
        encoder.flush();
        return out.toByteArray();
    }
}
