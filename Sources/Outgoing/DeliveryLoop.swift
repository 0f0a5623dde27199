// Beside the requests: the loop that sends what waits to receivers outside, so that one that never answers holds up its own messages and no others. Used for
// notices (Exchange) and log-outs (OpenID). What is due, and that each message goes to one node at a time, the database decides.
public import Logging

/// Takes what is due, sends it, and takes more as soon as there is room.
public struct DeliveryLoop<Message: Sendable>: Sendable {
    private let what: String
    private let countMax: Int
    private let receiver: @Sendable (Message) -> String
    private let take: @Sendable (_ countMax: Int, _ busy: [String]) async throws -> [Message]
    private let send: @Sendable (Message) async throws -> Void
    private let logger: Logger

    /// - Parameters:
    ///   - what: is sent, for the log.
    ///   - countMax: how many at once.
    ///   - receiver: whom a message is for.
    ///   - take: takes at most so many that are due, for none of the busy receivers. A receiver that is posted to is busy, so what is taken for it at once is its share.
    ///   - send: sends one and notes what came of it.
    public init(
        _ what: String, countMax: Int, receiver: @escaping @Sendable (Message) -> String,
        take: @escaping @Sendable (_ countMax: Int, _ busy: [String]) async throws -> [Message], send: @escaping @Sendable (Message) async throws -> Void,
        logger: Logger
    ) {
        self.what = what
        self.countMax = countMax
        self.receiver = receiver
        self.take = take
        self.send = send
        self.logger = logger
    }

    /// How long an idle loop waits: these messages are for those who do not want to wait longer.
    private static var idleWait: Duration { .seconds(1) }
    /// How long it waits after an error, for example while the database is away.
    private static var errorWait: Duration { .seconds(5) }

    /// Works until the task is cancelled. Each message that is over makes room for what is due then.
    public func run() async {
        await withTaskGroup(of: String?.self) { group in
            // Under way, by receiver.
            var sending: [String: Int] = [:]
            group.addTask { await Self.pause() }
            while !Task.isCancelled {
                for message in await taken(countMax - sending.values.reduce(0, +), busy: Array(sending.keys)) {
                    let receiver = receiver(message)
                    sending[receiver, default: 0] += 1
                    group.addTask {
                        await attempt(message)
                        return receiver
                    }
                }
                // One that is over, or the pause, which is always among them.
                guard let over = await group.next() else { return }
                guard let receiver = over else {
                    group.addTask { await Self.pause() }
                    continue
                }
                sending[receiver] = sending[receiver].flatMap { $0 > 1 ? $0 - 1 : nil }
            }
            group.cancelAll()
        }
    }

    private static func pause() async -> String? {
        try? await Task.sleep(for: idleWait)
        return nil
    }

    /// Nothing also where the database is away.
    private func taken(_ count: Int, busy: [String]) async -> [Message] {
        guard count > 0 else { return [] }
        do {
            return try await take(count, busy)
        } catch {
            if !Task.isCancelled { logger.error("delivering \(what) failed; will try again", metadata: ["error": "\(error)"]) }
            try? await Task.sleep(for: Self.errorWait)
            return []
        }
    }

    private func attempt(_ message: Message) async {
        do { try await send(message) } catch {
            // The next attempt is set already.
            if !Task.isCancelled { logger.error("what came of delivering \(what) was not noted", metadata: ["error": "\(error)"]) }
        }
    }
}
