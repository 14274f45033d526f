import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Upload events as services on the JVM write them: in transactions, committed and aborted ones, with every codec.
 * Arguments: bootstrap, topic, partitions, transactions of each codec, pause between two in ms. Printed is "kept ID" for
 * each asset whose event is committed by then, and "aborted ID" for each that must not become a job.
 */
public final class UploadProducer {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    private static final int EVENTS = 3;

    private final KafkaProducer<byte[], byte[]> kafka;
    private final String topic;
    private final int partitions;
    private final String codec;
    private int sent;

    private UploadProducer(String bootstrap, String topic, int partitions, String codec) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("compression.type", codec);
        properties.put("transactional.id", "uploads-" + codec);
        properties.put("linger.ms", "5");
        this.kafka = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
        this.topic = topic;
        this.partitions = partitions;
        this.codec = codec;
    }

    public static void main(String[] arguments) throws Exception {
        int partitions = Integer.parseInt(arguments[2]);
        int transactions = Integer.parseInt(arguments[3]);
        long pauseMs = Long.parseLong(arguments[4]);
        List<Thread> threads = new ArrayList<>();
        for (String codec : CODECS) {
            UploadProducer producer = new UploadProducer(arguments[0], arguments[1], partitions, codec);
            Thread thread = new Thread(() -> producer.run(transactions, pauseMs));
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void run(int transactions, long pauseMs) {
        kafka.initTransactions();
        for (int number = 0; number < transactions; number++) {
            transaction(number);
            pause(pauseMs);
        }
        kafka.close();
    }

    /** Every third one is aborted. */
    private void transaction(int number) {
        boolean commits = number % 3 != 2;
        List<String> report = new ArrayList<>();
        kafka.beginTransaction();
        for (int i = 0; i < EVENTS; i++) {
            report.add((commits ? "kept " : "aborted ") + send());
        }
        if (commits) {
            kafka.commitTransaction();
        } else {
            kafka.flush();
            kafka.abortTransaction();
        }
        synchronized (System.out) {
            report.forEach(System.out::println);
        }
    }

    private String send() {
        String id = codec + "-" + sent++;
        String event = "{\"asset_id\": \"" + id + "\", \"input\": {\"object\": \"a.mp4\"}, \"pipeline\": \"noop\"}";
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, (sent * 7) % partitions, bytes(id), bytes(event));
        record.headers().add("content-type", bytes("application/json"));
        record.headers().add("ce_specversion", bytes("1.0"));
        record.headers().add("ce_id", bytes(id));
        record.headers().add("ce_source", bytes("/jvm/uploads"));
        record.headers().add("ce_type", bytes("media.upload.completed.v1"));
        kafka.send(record);
        return id;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void pause(long pauseMs) {
        try {
            Thread.sleep(pauseMs);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
