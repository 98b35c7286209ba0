// A TLS client of Java's standard library: reads "id TAB address TAB port TAB name TAB milliseconds" lines, optionally with "TAB file of roots", prints "id TAB ok" or "id TAB error".

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

public class Client {
    // A scripted server ends with this alert where a client that accepted what it saw would go on.
    static final String SCRIPTED_END = "Received fatal alert: access_denied";

    /** The default trust manager, which also remembers that it accepted. */
    static final class Watching extends X509ExtendedTrustManager {
        final X509ExtendedTrustManager real;
        volatile boolean accepted;

        Watching(X509ExtendedTrustManager real) {
            this.real = real;
        }

        public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket) throws CertificateException {
            real.checkServerTrusted(chain, type, socket);
            accepted = true;
        }

        public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine) throws CertificateException {
            real.checkServerTrusted(chain, type, engine);
        }

        public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
            real.checkServerTrusted(chain, type);
        }

        public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {
        }

        public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {
        }

        public void checkClientTrusted(X509Certificate[] chain, String type) {
        }

        public X509Certificate[] getAcceptedIssuers() {
            return real.getAcceptedIssuers();
        }
    }

    static String ask(String address, int port, String name, int patience, X509ExtendedTrustManager real) {
        Watching watching = new Watching(real);
        try (Socket plain = new Socket()) {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, new TrustManager[] {watching}, null);
            plain.connect(new InetSocketAddress(address, port), patience);
            plain.setSoTimeout(patience);
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(plain, name, port, true)) {
                SSLParameters parameters = socket.getSSLParameters();
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                socket.setSSLParameters(parameters);
                socket.startHandshake();
                String request = "GET / HTTP/1.1\r\nHost: " + name + "\r\nConnection: close\r\n\r\n";
                socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
                // In TLS 1.3 a server that refuses says so only now.
                socket.getInputStream().read();
                return "ok";
            }
        } catch (Throwable error) {
            if (watching.accepted && String.valueOf(error.getMessage()).endsWith(SCRIPTED_END)) {
                return "ok";
            }
            return error.toString().replaceAll("\\s+", " ");
        }
    }

    static X509ExtendedTrustManager load(String name) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (FileInputStream file = new FileInputStream(name)) {
            for (Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(file)) {
                store.setCertificateEntry("root " + store.size(), root);
            }
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(store);
        return (X509ExtendedTrustManager) factory.getTrustManagers()[0];
    }

    /** The answer to one line; a root that cannot be read is an answer too. */
    static String answer(String[] fields, X509ExtendedTrustManager common) {
        try {
            X509ExtendedTrustManager trust = fields.length > 5 && !fields[5].isEmpty() ? load(fields[5]) : common;
            return ask(fields[1], Integer.parseInt(fields[2]), fields[3], Integer.parseInt(fields[4]), trust);
        } catch (Exception error) {
            return error.toString().replaceAll("\\s+", " ");
        }
    }

    public static void main(String[] arguments) throws Exception {
        X509ExtendedTrustManager trust = load(arguments[0]);
        ExecutorService workers = Executors.newFixedThreadPool(8);
        List<Future<String>> answers = new ArrayList<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split("\t");
            answers.add(workers.submit(
                () -> fields[0] + "\t" + answer(fields, trust)));
        }
        for (Future<String> answer : answers) {
            System.out.println(answer.get());
        }
        workers.shutdown();
    }
}
