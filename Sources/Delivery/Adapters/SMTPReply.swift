// The receiving half of an SMTP connection: bytes become replies, on the connection's event loop. TLS begins here too, in the very moment in which the server agrees to
// it, so that nothing that came in the clear is taken for something that came under TLS.
import NIOCore
import NIOSSL

/// One reply (RFC 5321 §4.2): its code, and its lines without it.
struct SMTPReply: Sendable, Equatable {
    let code: Int
    let lines: [String]
}

/// Why a dialogue ended early.
enum SMTPFailure: Error, Equatable {
    case closed
    case timedOut
    /// What came is no reply, or longer than one may be.
    case notSMTP
    /// More came behind the server's consent to TLS: somebody in between put it there (RFC 3207 §5, CVE-2011-0411).
    case injected
}

/// Longest line, in bytes: RFC 5321 §4.5.3.1.5 allows 512, and some servers write more.
private let lineBytesMax = 2_048
/// Lines of one reply: far more than any server has extensions.
private let linesMax = 100

/// Gathers replies and gives each to whoever waits for it. One at a time is waited for: commands are not pipelined.
final class SMTPReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var received = ByteBuffer()
    private var lines: [String] = []
    private var replies: [SMTPReply] = []
    private var waiting: EventLoopPromise<SMTPReply>?
    private var failure: (any Error)?
    /// Set while the answer to STARTTLS is waited for.
    private var beginTLS: (() throws -> NIOSSLClientHandler)?

    /// The next reply. With `tls`, a 220 puts that handler in front at once.
    func next(on loop: any EventLoop, tls: (() throws -> NIOSSLClientHandler)? = nil) -> EventLoopFuture<SMTPReply> {
        if let failure { return loop.makeFailedFuture(failure) }
        if !replies.isEmpty {
            // Nothing was asked yet: a reply that is there before its command is not the server's.
            guard tls == nil else { return loop.makeFailedFuture(SMTPFailure.injected) }
            return loop.makeSucceededFuture(replies.removeFirst())
        }
        beginTLS = tls
        let promise = loop.makePromise(of: SMTPReply.self)
        waiting = promise
        return promise.futureResult
    }

    func fail(_ error: any Error) {
        guard failure == nil else { return }
        failure = error
        waiting?.fail(error)
        waiting = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        received.writeBuffer(&bytes)
        do {
            while let reply = try readReply() { try take(reply, context) }
        } catch {
            fail(error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(SMTPFailure.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    private func take(_ reply: SMTPReply, _ context: ChannelHandlerContext) throws {
        guard let promise = waiting else {
            replies.append(reply)
            if replies.count > linesMax { throw SMTPFailure.notSMTP }
            return
        }
        waiting = nil
        if let beginTLS, reply.code == 220 {
            guard received.readableBytes == 0 else {
                promise.fail(SMTPFailure.injected)
                throw SMTPFailure.injected
            }
            do {
                try context.pipeline.syncOperations.addHandler(try beginTLS(), position: .first)
            } catch {
                promise.fail(error)
                throw error
            }
        }
        beginTLS = nil
        promise.succeed(reply)
    }

    /// A whole reply from what has come, nil while some of it is missing.
    private func readReply() throws -> SMTPReply? {
        while let end = received.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let length = end - received.readerIndex
            guard length <= lineBytesMax, let text = received.readString(length: length) else { throw SMTPFailure.notSMTP }
            received.moveReaderIndex(forwardBy: 1)
            let line = text.hasSuffix("\r") ? text.dropLast() : text[...]
            guard let code = Int(line.prefix(3)), (200...599).contains(code), line.utf8.count == 3 || "- ".contains(line.dropFirst(3).prefix(1)), lines.count < linesMax else {
                throw SMTPFailure.notSMTP
            }
            lines.append(String(line.dropFirst(4)))
            if line.dropFirst(3).first != "-" {
                defer { lines = [] }
                return SMTPReply(code: code, lines: lines)
            }
        }
        guard received.readableBytes <= lineBytesMax else { throw SMTPFailure.notSMTP }
        return nil
    }
}
