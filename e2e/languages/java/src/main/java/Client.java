import io.socket.client.Ack;
import io.socket.client.IO;
import io.socket.client.Socket;
import io.socket.engineio.client.transports.Polling;
import io.socket.engineio.client.transports.WebSocket;
import java.net.URI;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.json.JSONArray;
import org.json.JSONObject;

/** The steps of a Java client: see README.md of `languages`. */
public final class Client {
    private static final String URL = System.getenv("URL");
    private static final Map<String, String[]> TRANSPORTS = Map.of(
            "websocket", new String[] {WebSocket.NAME},
            "polling", new String[] {Polling.NAME},
            "upgrade", new String[] {Polling.NAME, WebSocket.NAME});
    private static final String[] OURS = TRANSPORTS.get(System.getenv("TRANSPORT"));
    private static final int SECONDS = 10;
    /** A stock client waits longer after each failed attempt. */
    private static final int BACK_SECONDS = 30;

    public static void main(String[] arguments) throws Exception {
        byte[] everyByte = new byte[256];
        for (int index = 0; index < everyByte.length; index++) everyByte[index] = (byte) index;
        byte[] large = new byte[40_000];
        Arrays.fill(large, (byte) 'x');

        BlockingQueue<String> opened = new LinkedBlockingQueue<>();
        BlockingQueue<String> gone = new LinkedBlockingQueue<>();
        BlockingQueue<Object[]> received = new LinkedBlockingQueue<>();
        Socket client = IO.socket(URI.create(URL), options(System.getenv("TOKEN")));
        client.on(Socket.EVENT_CONNECT, data -> opened.add("connected"));
        client.on(Socket.EVENT_CONNECT_ERROR, data -> opened.add(String.valueOf(data[0])));
        client.on(Socket.EVENT_DISCONNECT, data -> gone.add(String.valueOf(data[0])));
        client.on("message", data -> received.add(new Object[] {"received", ((JSONObject) data[0]).opt("message")}));
        client.on("file", data -> received.add(new Object[] {"emitted", ((JSONObject) data[0]).opt("part")}));
        client.connect();
        String how = opened.poll(SECONDS, TimeUnit.SECONDS);
        report("connected", "connected".equals(how), how);

        JSONObject sent = new JSONObject();
        sent.put("part", everyByte);
        sent.put("inside", new JSONArray().put(new JSONObject().put("deep", new byte[] {1, 2})).put("ñ 👋"));
        sent.put("empty", new byte[0]);
        Object answer = ask(client, "echo", sent);
        JSONObject echoed = answer instanceof JSONObject object ? object : new JSONObject();
        JSONArray inside = echoed.optJSONArray("inside");
        boolean same = inside != null
                && isBytes(echoed.opt("part"), everyByte)
                && isBytes(echoed.opt("empty"), new byte[0])
                && isBytes(inside.getJSONObject(0).opt("deep"), new byte[] {1, 2})
                && "ñ 👋".equals(inside.opt(1));
        report("echo", same, answer);
        answer = ask(client, "echo", large);
        report("long", isBytes(answer, large), answer);
        ask(client, "message", everyByte);
        for (String step : new String[] {"own", "received", "emitted"}) {
            Object[] one = received.poll(SECONDS, TimeUnit.SECONDS);
            String name = step.equals("own") ? "received" : step;
            report(step, one != null && name.equals(one[0]) && isBytes(one[1], everyByte), Arrays.toString(one));
        }

        BlockingQueue<String> refusals = new LinkedBlockingQueue<>();
        Socket stranger = IO.socket(URI.create(URL), options("garbage"));
        stranger.on(Socket.EVENT_CONNECT_ERROR, data -> refusals.add(String.valueOf(data[0])));
        stranger.connect();
        String refusal = refusals.poll(SECONDS, TimeUnit.SECONDS);
        report("refused", refusal != null && refusal.contains("invalid_token"), refusal);
        answer = ask(client, "echo", "text");
        report("alive", "text".equals(answer) && gone.isEmpty(), answer + " " + gone);
        // Failed attempts are reported to the manager, not to the socket.
        how = opened.poll(BACK_SECONDS, TimeUnit.SECONDS);
        answer = ask(client, "echo", large);
        report("back", "connected".equals(how) && isBytes(answer, large) && gone.size() == 1, how + " " + gone);
        System.exit(0);
    }

    private static IO.Options options(String token) {
        IO.Options options = IO.Options.builder().setTransports(OURS).setForceNew(true).build();
        options.auth = Map.of("token", token);
        return options;
    }

    private static Object ask(Socket client, String event, Object data) throws InterruptedException {
        BlockingQueue<Object> answers = new LinkedBlockingQueue<>();
        client.emit(event, new Object[] {data}, (Ack) answer -> answers.add(answer.length == 0 ? "nothing" : answer[0]));
        return answers.poll(SECONDS, TimeUnit.SECONDS);
    }

    private static boolean isBytes(Object value, byte[] expected) {
        return value instanceof byte[] bytes && Arrays.equals(bytes, expected);
    }

    private static void report(String step, boolean good, Object seen) {
        String text = String.valueOf(seen);
        System.out.println(good ? "ok " + step : "failed " + step + " " + text.substring(0, Math.min(200, text.length())));
    }
}
