// `/metrics` for Prometheus, on an address of its own: what a city's load looks like is not for the public.
public import Hummingbird
public import Logging

/// Builds the small server that shows a registry.
public enum MetricsServer {
    /// - Returns: an application with the one route `GET /metrics`.
    public static func build(
        registry: PrometheusRegistry, address: WebConfiguration.MetricsAddress, logger: Logger
    ) -> Application<RouterResponder<BasicRequestContext>> {
        let router = Router()
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8", .cacheControl: "no-store"],
                body: .init(byteBuffer: ByteBuffer(string: registry.text())))
        }
        return Application(
            router: router, configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port)), logger: logger)
    }
}
