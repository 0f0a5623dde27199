// One connection to the relay: a command out, its reply in.
import NIOCore
import NIOPosix
import NIOSSL

struct SMTPConnection: Sendable {
    private let channel: any Channel
    private let replies: NIOLoopBound<SMTPReplyHandler>
    private let limit: Scheduled<Void>

    /// - Parameters:
    ///   - tls: makes the handler of a connection that is under TLS from the first byte on.
    ///   - secondsMax: after which the connection is closed, whatever the server is doing.
    static func open(
        host: String, port: Int, tls: (@Sendable () throws -> NIOSSLClientHandler)?, connectSecondsMax: Int64, secondsMax: Int64
    ) async throws -> SMTPConnection {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(connectSecondsMax))
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = SMTPReplyHandler()
                    if let tls { try channel.pipeline.syncOperations.addHandler(try tls()) }
                    try channel.pipeline.syncOperations.addHandler(handler)
                    let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
                    let limit = channel.eventLoop.scheduleTask(in: .seconds(secondsMax)) {
                        bound.value.fail(SMTPFailure.timedOut)
                        channel.close(promise: nil)
                    }
                    return SMTPConnection(channel: channel, replies: bound, limit: limit)
                }
            }
    }

    /// What the server says without being asked: its greeting.
    func reply() async throws -> SMTPReply {
        try await channel.eventLoop.flatSubmit { replies.value.next(on: channel.eventLoop) }.get()
    }

    func send(_ command: String) async throws -> SMTPReply { try await send(Array((command + "\r\n").utf8)) }

    /// Asks for TLS; a reply of 220 means that it has begun.
    func startTLS(_ handler: (@Sendable () throws -> NIOSSLClientHandler)?) async throws -> SMTPReply {
        try await send(Array("STARTTLS\r\n".utf8), tls: handler)
    }

    /// A message and the line that ends it. A line that begins with a dot gets another in front (RFC 5321 §4.5.2).
    func sendData(_ bytes: [UInt8]) async throws -> SMTPReply {
        var stuffed: [UInt8] = []
        stuffed.reserveCapacity(bytes.count + 16)
        var isLineStart = true
        for byte in bytes {
            if isLineStart, byte == UInt8(ascii: ".") { stuffed.append(byte) }
            stuffed.append(byte)
            isLineStart = byte == UInt8(ascii: "\n")
        }
        return try await send(stuffed + Array(".\r\n".utf8))
    }

    /// Says goodbye, and waits for no answer: what was taken is taken.
    func close() async {
        limit.cancel()
        try? await channel.writeAndFlush(ByteBuffer(string: "QUIT\r\n")).get()
        try? await channel.close().get()
    }

    private func send(_ bytes: [UInt8], tls: (@Sendable () throws -> NIOSSLClientHandler)? = nil) async throws -> SMTPReply {
        try await channel.eventLoop.flatSubmit {
            // Waited for before it is sent: then no reply can come unasked.
            let reply = replies.value.next(on: channel.eventLoop, tls: tls)
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
            return reply
        }.get()
    }
}
