// From the finished site to a running server: the responder that begins every request, and the Hummingbird application
// around it with its limits.
public import Hummingbird
import HummingbirdCore
public import Logging
public import NIOCore

/// Builds the server of a site.
public enum WebApplication {
    /// Checks the site and wraps it in an application that listens as configured and finishes requests in flight when it stops.
    /// - Parameter onServerRunning: called with the listening channel, whose address holds the port that the system chose.
    /// - Throws: what is wrong with a declared page or navigation entry.
    public static func build(
        site: Site, logger: Logger, onServerRunning: @escaping @Sendable (any Channel) async -> Void = { _ in }
    ) throws -> Application<WebResponder> {
        let configuration = site.configuration
        let limits = configuration.limits
        let channel = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionWatchInstaller(limits: limits)],
            idleTimeout: .seconds(Int64(limits.idleSeconds)),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: limits.headerFieldBytesMax, maxHeaderListSize: limits.headerListBytesMax,
                maxHeaderFieldCount: limits.headerFieldsMax))
        var application = ApplicationConfiguration(address: .hostname(configuration.host, port: configuration.port), serverName: nil)
        application.availableConnectionsDelegate = MaximumAvailableConnections(limits.connectionsMax)
        return Application(
            responder: try WebResponder(site: site), server: .http1(configuration: channel), configuration: application,
            onServerRunning: onServerRunning, logger: logger)
    }
}

/// What the server knows of a request beside the request itself: who is at the other end of the connection.
public struct ConnectionContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    let peer: SocketAddress?

    public init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        peer = source.channel.remoteAddress
    }
}

/// Begins every request: makes its context, watches its time and hands it to the router.
public struct WebResponder: HTTPResponder {
    public typealias Context = ConnectionContext

    private let services: WebServices
    private let router: RouterResponder<WebContext>
    private let deadlines: RequestDeadlines

    /// - Throws: what is wrong with a declared page or navigation entry.
    init(site: Site) throws {
        services = try site.makeServices()
        router = site.router.buildResponder()
        deadlines = RequestDeadlines(seconds: services.configuration.limits.requestSeconds)
    }

    public func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let state = RequestState(
            request, peer: context.peer, language: services.configuration.defaultLanguage, face: Self.face(ofPath: request.uri.path))
        let webContext = WebContext(source: WebContextSource(logger: context.logger, services: services, state: state))
        return try await deadlines.run { [router] in
            try await router.respond(to: request, context: webContext)
        }
    }

    /// The face of a path before any route is known, and of paths that no route has.
    static func face(ofPath path: String) -> Face {
        // Where an app sends its resident, and where anybody checks a proof: pages for people among the addresses of programs.
        let people = ["/oauth/authorize", "/oauth/requests/", "/oauth/end-session", "/log/verify"]
        if people.contains(where: { path.hasPrefix($0) }) { return .page }
        let programs = ["/api/", "/oauth/", "/.well-known/", "/health/", "/log/", "/witness/", "/v2/"]
        return programs.contains { path.hasPrefix($0) || path == $0.dropLast() } ? .json : .page
    }
}
