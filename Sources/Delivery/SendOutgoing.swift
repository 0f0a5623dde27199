// Beside the requests: sends what is in the outbox. Every node does it; the database gives each message to one of them at a time, and no transaction is open while
// a mail server or a gateway thinks. Decided in `delivery.take` and `delivery.note` (0033_delivery.sql).
import AccessLog
import Foundation
public import Logging
public import Postgres
public import Primitives
public import Register
import Synchronization
import Web

/// What came of one attempt.
public struct SendOutcome: Sendable, Equatable {
    public enum Result: String, Sendable {
        case sent
        /// It may work another time.
        case later
        /// It never will: the receiver is wrong, or says no.
        case refused
    }

    public let result: Result
    /// `status 250`, or a word for what went wrong before there was one; at most 60 characters, and nothing about the receiver.
    public let words: String

    public static func sent(_ words: String) -> SendOutcome { SendOutcome(result: .sent, words: words) }
    public static func later(_ words: String) -> SendOutcome { SendOutcome(result: .later, words: words) }
    public static func refused(_ words: String) -> SendOutcome { SendOutcome(result: .refused, words: words) }
}

/// The way out for e-mails.
public protocol EmailAdapter: Sendable {
    /// Sends one message, within 25 seconds: the database gives it to another node after a minute.
    func send(_ message: EmailMessage) async -> SendOutcome
}

/// The way out for short messages.
public protocol ShortMessageAdapter: Sendable {
    /// Sends one message, within 25 seconds: the database gives it to another node after a minute.
    func send(_ message: ShortMessage, to number: PhoneNumber, id: OutgoingID) async -> SendOutcome
}

/// How many more attempts may begin.
private final class Places: Sendable {
    private let count: Mutex<Int>

    init(_ count: Int) { self.count = Mutex(count) }

    var free: Int { count.withLock { $0 } }
    func take(_ number: Int) { count.withLock { $0 -= number } }
    func giveBack() { count.withLock { $0 += 1 } }
}

/// The loop from the outbox to the adapters.
public struct OutgoingDelivery: Sendable {
    private let database: Database
    private let vault: ResidentVault
    private let texts: OutgoingTexts
    private let email: any EmailAdapter
    private let shortMessages: any ShortMessageAdapter
    private let logger: Logger

    /// Attempts at once. A receiver that never answers holds one of them for half a minute, and nobody else.
    static let attemptsAtOnceMax = 16
    /// How long an idle loop waits: somebody may be waiting for a code.
    private static let idleWait = Duration.seconds(1)
    /// How long it waits after an error, for example while the database is away.
    private static let errorWait = Duration.seconds(5)

    public init(
        database: Database, vault: ResidentVault, texts: OutgoingTexts, email: any EmailAdapter, shortMessages: any ShortMessageAdapter, logger: Logger
    ) {
        self.database = database
        self.vault = vault
        self.texts = texts
        self.email = email
        self.shortMessages = shortMessages
        self.logger = logger
    }

    /// Works until the task is cancelled. Takes as many as there are attempts free, so that the slow ones hold up none that come later.
    public func run() async {
        let places = Places(Self.attemptsAtOnceMax)
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                do {
                    let free = places.free
                    let taken = free > 0 ? try await take(free) : []
                    places.take(taken.count)
                    for message in taken {
                        group.addTask {
                            await deliverLogging(message)
                            places.giveBack()
                        }
                    }
                    if free == 0 || taken.count < free { try await Task.sleep(for: Self.idleWait) }
                } catch is CancellationError {
                    return
                } catch {
                    if Task.isCancelled { return }
                    logger.error("taking outgoing messages failed; will try again", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: Self.errorWait)
                }
            }
        }
    }

    /// Sends what is due, at most `attemptsAtOnceMax`, and waits for all of them.
    /// - Returns: how many attempts that were.
    @discardableResult
    public func deliverOnce() async throws -> Int {
        let taken = try await take(Self.attemptsAtOnceMax)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for message in taken { group.addTask { try await deliver(message) } }
            try await group.waitForAll()
        }
        return taken.count
    }

    private func take(_ count: Int) async throws -> [TakenMessage] {
        try await database.exclusive { try await $0.query(TakeMessages(countMax: count)) }
    }

    private func deliverLogging(_ message: TakenMessage) async {
        do {
            try await deliver(message)
        } catch {
            if Task.isCancelled { return }
            logger.error("noting an outgoing message failed; it is tried again", metadata: ["message": "\(message.id)", "error": "\(error)"])
        }
    }

    private func deliver(_ message: TakenMessage) async throws {
        let outcome = await send(message)
        if outcome.result != .sent {
            logger.notice(
                "a message was not sent",
                metadata: ["message": "\(message.id)", "channel": "\(message.channel)", "attempt": "\(message.attempt)", "outcome": "\(outcome.words)"])
        }
        try await database.exclusive { _ = try await $0.execute(noteMessage(message, outcome)) }
    }

    private func send(_ message: TakenMessage) async -> SendOutcome {
        guard let channel = OutgoingChannel(rawValue: message.channel), let template = OutgoingTemplate(rawValue: message.template), template.channels.contains(channel),
            let language = Language(rawValue: message.language)
        else { return .refused("no words for it") }
        let (recipient, parameters): (String, [String: String])
        do {
            let (key, sealing) = (try vault.unwrap(message.key), OutgoingSealing(vault: vault))
            guard let sealed = message.sealedRecipient else { return .refused("no recipient") }
            recipient = try sealing.openRecipient(sealed, on: channel, of: message.key.holderID, under: key)
            parameters = try sealing.openParameters(message.sealedParameters, of: message.id, for: message.key.holderID, under: key)
        } catch {
            return .refused("not to be opened")
        }
        switch channel {
        case .email:
            guard let address = EmailAddress(recipient) else { return .refused("no e-mail address") }
            let (subject, text) = texts.email(template, parameters, in: language)
            return await email.send(EmailMessage(id: message.id, to: address, subject: subject, text: text, language: language))
        case .sms:
            guard let number = PhoneNumber(recipient) else { return .refused("no phone number") }
            guard let text = texts.shortMessage(template, parameters, in: language) else { return .refused("too long") }
            return await shortMessages.send(text, to: number, id: message.id)
        case .letter:
            return .refused("a letter is printed")
        }
    }
}
