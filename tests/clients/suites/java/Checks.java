import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.KafkaFuture;

/** How the Java suite reports: each check prints ok, FAIL with what went wrong, or skip with why. */
final class Checks {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final boolean MILENA = "milena".equals(System.getenv("SERVER"));

    private Checks() {
    }

    interface Body {
        void run() throws Exception;
    }

    static final class Skip extends RuntimeException {
        Skip(String why) {
            super(why);
        }
    }

    static void check(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Skip why) {
            System.out.println("skip " + name + ": " + why.getMessage());
        } catch (Throwable error) {
            StringBuilder text = new StringBuilder(String.valueOf(error));
            if (error.getCause() != null) {
                text.append(" caused by ").append(error.getCause());
            }
            for (StackTraceElement frame : error.getStackTrace()) {
                if (frame.getClassName().endsWith("Suite")) {
                    text.append(" (").append(frame.getFileName()).append(':').append(frame.getLineNumber()).append(')');
                    break;
                }
            }
            System.out.println("FAIL " + name + ": " + text.toString().replace('\n', ' '));
        }
    }

    static void equal(Object found, Object expected, String what) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError(what + " is " + found + ", expected " + expected);
        }
    }

    static void isTrue(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(20, TimeUnit.SECONDS);
    }

    /** The error with which a call fails, which must be of this class. */
    static <E extends Throwable> E refused(Class<E> expected, KafkaFuture<?> future) throws Exception {
        try {
            Object value = future.get(20, TimeUnit.SECONDS);
            throw new AssertionError("expected " + expected.getSimpleName() + ", it answered " + value);
        } catch (ExecutionException error) {
            if (expected.isInstance(error.getCause())) {
                return expected.cast(error.getCause());
            }
            throw new AssertionError("expected " + expected.getSimpleName() + ", was " + error.getCause());
        } catch (TimeoutException error) {
            throw new AssertionError("expected " + expected.getSimpleName() + ", no answer came");
        }
    }

    /** Have the runner stop, kill or start the server; comes back when that is done. */
    static void control(String command) throws Exception {
        try (Socket socket = new Socket("127.0.0.1", Integer.parseInt(System.getenv("CONTROL_PORT")))) {
            socket.getOutputStream().write((command + "\n").getBytes(StandardCharsets.UTF_8));
            String answer = new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine();
            equal(answer, "done", command);
        }
    }
}
