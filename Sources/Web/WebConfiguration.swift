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
    /// Where the browser goes of somebody who must not be seen here: a site that says nothing about them.
    public var neutralSite: WebOrigin
    public var limits: WebLimits
    /// Takes each line of the request log, without its line end.
    public var requestLog: @Sendable ([UInt8]) -> Void

    /// Another site, reached at its front page.
    public struct WebOrigin: Sendable, Hashable {
        /// `https://www.example.org`, without a path.
        public let origin: String

        /// Known everywhere, quick to load, and in everybody's history.
        public static let usualNeutralSite = WebOrigin(origin: "https://www.wikipedia.org")

        /// - Parameter address: `https://` and a host name, perhaps with a slash at the end; nil for anything else.
        public init?(_ address: String) {
            guard let parts = URLComponents(string: address), parts.scheme == "https", let host = parts.host, !host.isEmpty,
                host.utf8.allSatisfy({ $0 < 0x80 }), parts.port == nil, parts.user == nil, parts.query == nil, parts.fragment == nil,
                parts.path.isEmpty || parts.path == "/"
            else { return nil }
            self.init(origin: "https://" + host)
        }

        private init(origin: String) {
            self.origin = origin
        }
    }

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
        port: Int = 8080, trustedProxies: TrustedProxies = .none, metricsAddress: MetricsAddress? = nil, defaultLanguage: Language = .english,
        neutralSite: WebOrigin = .usualNeutralSite, limits: WebLimits = WebLimits(),
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
        self.neutralSite = neutralSite
        self.limits = limits
        self.requestLog = requestLog
    }
}
