// Configuration, as the executable hands it to the web layer after reading config/stoa.yaml and the environment.
public import Foundation

/// What the web layer needs to know about the city and the machine.
public struct WebConfiguration: Sendable {
    /// Where people reach the site.
    public var baseURL: BaseURL
    /// The city's name as the header of each page shows it.
    public var cityName: String
    /// The city's time zone, in which pages show moments.
    public var timeZone: TimeZone
    /// The folder that holds `templates/`, `assets/`, `config/locales/` and `openapi.yaml`.
    public var rootDirectory: String
    /// The address to listen on; loopback unless configured, because a proxy usually stands in front.
    public var host: String
    /// The TCP port to listen on; 0 lets the system choose one.
    public var port: Int
    /// The proxies whose word about a client's address is taken; none unless configured.
    public var trustedProxies: TrustedProxies
    /// Where `/metrics` is served for Prometheus, apart from the public site; nil serves none.
    public var metricsAddress: MetricsAddress?
    /// The language of visitors who prefer none that we have.
    public var defaultLanguage: Language
    public var limits: WebLimits
    /// Takes each line of the request log, without its line end.
    public var requestLog: @Sendable ([UInt8]) -> Void

    /// Host and TCP port of the metrics listener.
    public struct MetricsAddress: Sendable, Hashable {
        public var host: String
        public var port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    public init(
        baseURL: BaseURL, cityName: String = "Stoa", timeZone: TimeZone = .gmt, rootDirectory: String = ".", host: String = "127.0.0.1",
        port: Int = 8080, trustedProxies: TrustedProxies = .none, metricsAddress: MetricsAddress? = nil, defaultLanguage: Language = .english, limits: WebLimits = WebLimits(),
        requestLog: @escaping @Sendable ([UInt8]) -> Void = { LineWriter.standardOutput.write($0) }
    ) {
        self.baseURL = baseURL
        self.cityName = cityName
        self.timeZone = timeZone
        self.rootDirectory = rootDirectory
        self.host = host
        self.port = port
        self.trustedProxies = trustedProxies
        self.metricsAddress = metricsAddress
        self.defaultLanguage = defaultLanguage
        self.limits = limits
        self.requestLog = requestLog
    }
}
