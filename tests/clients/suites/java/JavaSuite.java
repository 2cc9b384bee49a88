/** Kafka's own Java clients: Admin, producer, and consumers with assigned partitions. */
public final class JavaSuite {
    private JavaSuite() {
    }

    public static void main(String[] arguments) {
        AdminSuite.run();
        DataSuite.run();
        System.out.println("finished");
        System.exit(0);
    }
}
