/** Kafka's own Java clients: Admin, producer, consumers with assigned partitions and in groups. */
public final class JavaSuite {
    private JavaSuite() {
    }

    public static void main(String[] arguments) {
        AdminSuite.run();
        DataSuite.run();
        GroupSuite.run();
        System.out.println("finished");
        System.exit(0);
    }
}
