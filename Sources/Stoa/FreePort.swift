// Whether the ports are free, asked before anything is made: a person who starts a second server by mistake learns it at once, and nothing
// of the first start is left behind. The server itself still opens them last, when it can answer.
import Foundation
import NIOCore
import NIOPosix
import Web

/// Opens and closes each port that the configuration names.
/// - Throws: `SetupError`
func requireFreePorts(_ configuration: StoaConfiguration) async throws {
    typealias Key = StoaConfiguration.Key
    try await requireFreePort(configuration.port, of: configuration.host, settings: (Key.port, Key.address))
    if let metrics = configuration.metricsAddress {
        try await requireFreePort(metrics.port, of: metrics.host, settings: (Key.metricsPort, Key.metricsAddress))
    }
}

private func requireFreePort(_ port: Int, of host: String, settings: (port: Setting, address: Setting)) async throws {
    // A group of its own: the shared one would fix the number of its threads before the server chooses it.
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    do {
        let channel = try await ServerBootstrap(group: group).serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: host, port: port).get()
        try await channel.close()
    } catch {
        try? await group.shutdownGracefully()
        throw SetupError(unusable(port, of: host, settings, error))
    }
    try? await group.shutdownGracefully()
}

/// What a person can do about a port that cannot be opened.
private func unusable(_ port: Int, of host: String, _ settings: (port: Setting, address: Setting), _ error: any Error) -> String {
    let variable = settings.port.shortVariable ?? settings.port.variable
    switch (error as? IOError)?.errnoCode {
    case EADDRINUSE: return "Port \(port) of \(host) is in use by another program. \(variable)=… chooses another."
    case EACCES: return "Port \(port) of \(host) is one that this user may not open. \(variable)=… chooses another, from 1024 up."
    case EADDRNOTAVAIL: return "\(host) is no address of this machine, so nothing can listen there. \(settings.address.variable)=… names another."
    default: return "Port \(port) of \(host) cannot be opened: \(error)."
    }
}
