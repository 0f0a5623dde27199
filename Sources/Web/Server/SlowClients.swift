// On every connection, before any handler: nobody may keep the server waiting by sending a request byte by byte, and an
// answer that says `Connection: close` does close it.
import NIOCore
import NIOHTTP1

/// Thrown to whoever reads a body that did not arrive in time.
struct SlowBody: Error {}

/// Added by Hummingbird behind the HTTP decoder; puts the two watching handlers where they can see, and goes.
final class ConnectionWatchInstaller: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let limits: WebLimits

    init(limits: WebLimits) {
        self.limits = limits
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        let watch = ConnectionWatch(limits: limits)
        do {
            let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(watch, position: .after(decoder))
            try pipeline.addHandler(FirstByteWatch(watch: watch), position: .first)
        } catch {
            // Without its watch a connection has no deadline, so it does not open.
            context.close(promise: nil)
        }
    }
}

/// Sees raw bytes arrive and tells the watch when a request begins.
private final class FirstByteWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let watch: ConnectionWatch

    init(watch: ConnectionWatch) {
        self.watch = watch
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        watch.bytesArrived()
        context.fireChannelRead(data)
    }
}

/// Follows the requests and answers of one connection and ends what takes too long. Lives on the connection's event loop.
private final class ConnectionWatch: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Receiving {
        case nothing
        case headers
        case body
    }

    /// After an answer with `Connection: close` the other side may still be sending; closing at once would make its
    /// system throw our answer away (RFC 9112 §9.6).
    private static let lingerSeconds: Int64 = 2
    /// What a reader of a late body has for answering 408 before the connection is cut.
    private static let answerSeconds: Int64 = 5

    private let limits: WebLimits
    private var receiving = Receiving.nothing
    private var answersDue = 0
    private var closesAfterAnswer = false
    private var isRefused = false
    private var deadline: Scheduled<Void>?

    init(limits: WebLimits) {
        self.limits = limits
    }

    func bytesArrived() {
        if receiving == .nothing { receiving = .headers }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            guard Self.namesOneHost(head) else { return refuse(context) }
            cancelDeadline()
            receiving = .body
            answersDue += 1
        case .body:
            break
        case .end:
            cancelDeadline()
            receiving = .nothing
        }
        context.fireChannelRead(data)
    }

    /// Only a request that did not arrive whole needs a timer, so most need none.
    func channelReadComplete(context: ChannelHandlerContext) {
        if deadline == nil {
            switch receiving {
            case .nothing: break
            case .headers: schedule(context, seconds: Int64(limits.headerSeconds)) { $0.headersAreLate($1) }
            case .body: schedule(context, seconds: Int64(limits.bodySeconds)) { $0.bodyIsLate($1) }
            }
        }
        context.fireChannelReadComplete()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.headers["connection"].contains(where: { $0.lowercased() == "close" }) { closesAfterAnswer = true }
            context.write(data, promise: promise)
        case .body:
            context.write(data, promise: promise)
        case .end:
            answersDue -= 1
            guard closesAfterAnswer else { return context.write(data, promise: promise) }
            context.writeAndFlush(data, promise: promise)
            closeSoon(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        cancelDeadline()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        cancelDeadline()
    }

    // MARK: Deadlines

    private func headersAreLate(_ context: ChannelHandlerContext) {
        guard receiving == .headers else { return }
        answerAndClose(context, status: .requestTimeout)
    }

    /// Proxies and we could otherwise read a request as meant for different sites (RFC 9112 §3.2). HTTP/1.0 knows no Host, and load
    /// balancers ask for our health by it.
    private static func namesOneHost(_ head: HTTPRequestHead) -> Bool {
        let count = head.headers["host"].count
        return count == 1 || (count == 0 && head.version == .http1_0)
    }

    private func refuse(_ context: ChannelHandlerContext) {
        isRefused = true
        answerAndClose(context, status: .badRequest)
    }

    /// For a request that no handler sees. Behind an answer that is still due it could be taken for that one, so then nothing is said.
    private func answerAndClose(_ context: ChannelHandlerContext, status: HTTPResponseStatus) {
        guard answersDue == 0 else { return context.close(promise: nil) }
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: ["connection": "close", "content-length": "0"])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        closeSoon(context)
    }

    /// Whoever reads the body gets an error and answers 408; if nobody reads it any more, the connection is cut.
    private func bodyIsLate(_ context: ChannelHandlerContext) {
        guard receiving == .body else { return }
        guard answersDue > 0 else { return context.close(promise: nil) }
        closesAfterAnswer = true
        context.fireErrorCaught(SlowBody())
        schedule(context, seconds: Self.answerSeconds) { _, context in context.close(promise: nil) }
    }

    private func closeSoon(_ context: ChannelHandlerContext) {
        cancelDeadline()
        context.close(mode: .output, promise: nil)
        schedule(context, seconds: Self.lingerSeconds) { _, context in context.close(promise: nil) }
    }

    private func schedule(
        _ context: ChannelHandlerContext, seconds: Int64, _ action: @escaping (ConnectionWatch, ChannelHandlerContext) -> Void
    ) {
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds)) { [self] in
            deadline = nil
            action(self, context)
        }
    }

    private func cancelDeadline() {
        deadline?.cancel()
        deadline = nil
    }
}
