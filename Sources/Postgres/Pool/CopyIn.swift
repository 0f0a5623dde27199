// Bulk loading by COPY FROM STDIN, in its text format: the server converts each field to its column's type, so a row is simply words.
public import Foundation
public import Primitives
import Synchronization

/// Receives the rows of a COPY.
///
/// Rows are gathered into pieces; `row` waits while the server is slower than the writer. Use from one task at a time.
public final class CopyWriter: Sendable {
    /// One piece for the socket: large enough that system calls do not count, small against memory.
    static let pieceBytes = 64 * 1024

    private let pool: Pool
    private let lease: LeaseID
    private let buffer = Mutex<[UInt8]>([])

    init(pool: Pool, lease: LeaseID) {
        self.pool = pool
        self.lease = lease
    }

    /// Adds one row, its fields in the order of the columns.
    /// - Throws: `DatabaseError.invalidBind` for text with NUL (the row is not sent, others may follow), `.connectionLost`, `.cancelled`
    public func row(_ fields: any CopyField...) async throws {
        try await row(fields)
    }

    public func row(_ fields: [any CopyField]) async throws {
        let texts = fields.map(\.copyText)
        for text in texts where text?.utf8.contains(0) == true {
            throw DatabaseError.invalidBind("text contains a NUL character, which PostgreSQL cannot store")
        }
        let piece: [UInt8]? = buffer.withLock { buffer in
            for (index, text) in texts.enumerated() {
                if index > 0 { buffer.append(UInt8(ascii: "\t")) }
                Self.append(text, to: &buffer)
            }
            buffer.append(UInt8(ascii: "\n"))
            return buffer.count >= Self.pieceBytes ? Self.take(&buffer) : nil
        }
        if let piece { try await pool.perform(.data(piece), on: lease) }
    }

    /// Sends the rest.
    fileprivate func flush() async throws {
        let piece = buffer.withLock { Self.take(&$0) }
        if !piece.isEmpty { try await pool.perform(.data(piece), on: lease) }
    }

    /// The text format's escapes (PostgreSQL manual, COPY, "Text Format"): NULL is \N; backslash and the separators are escaped.
    private static func append(_ text: String?, to buffer: inout [UInt8]) {
        guard let text else {
            buffer += [UInt8(ascii: "\\"), UInt8(ascii: "N")]
            return
        }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): buffer += [byte, byte]
            case UInt8(ascii: "\t"): buffer += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case UInt8(ascii: "\n"): buffer += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case UInt8(ascii: "\r"): buffer += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            default: buffer.append(byte)
            }
        }
    }

    private static func take(_ buffer: inout [UInt8]) -> [UInt8] {
        defer { buffer = [] }
        return buffer
    }
}

extension Database {
    /// Loads rows into a table, all or none.
    /// - Parameters:
    ///   - table: the table's name, qualified if need be (`register.person`). Each part is quoted.
    ///   - columns: the names of the columns, in the order of the fields.
    ///   - timeout: the server's statement_timeout for the whole copy, writer's pauses included.
    ///   - write: calls `row` on the writer; throwing abandons the copy.
    /// - Returns: the number of rows.
    /// - Throws: what `write` throws, or the server's refusal, which may come only at the end.
    public func copyIn(
        table: String, columns: [String], timeout: Duration = .seconds(600), _ write: (CopyWriter) async throws -> Void
    ) async throws -> Int {
        try await transaction { transaction in
            try await transaction.execute("SET LOCAL statement_timeout = \(unsafeRaw: String(timeout.wholeMilliseconds))")
            return try await transaction.copyIn(table: table, columns: columns, write)
        }
    }
}

extension Transaction {
    /// Loads rows into a table within this transaction, for instance a temporary one that the next statement merges.
    /// The transaction's statement_timeout holds for the whole copy. Otherwise as `Database.copyIn`.
    public func copyIn(table: String, columns: [String], _ write: (CopyWriter) async throws -> Void) async throws -> Int {
        try use()
        let name = table.split(separator: ".").map { quotedIdentifier(String($0)) }.joined(separator: ".")
        let list = columns.map(quotedIdentifier).joined(separator: ", ")
        try await pool.perform(.begin("COPY \(name) (\(list)) FROM STDIN"), on: lease)
        let writer = CopyWriter(pool: pool, lease: lease)
        do {
            try await write(writer)
            try await writer.flush()
        } catch {
            // Ends the COPY in any case; its failure is the expected answer.
            _ = try? await pool.performUncancelled(.abandon, on: lease)
            throw error
        }
        return try await pool.perform(.end, on: lease)
    }
}

extension Pool {
    /// One step of a copy; cancelling the task cancels the COPY in the server.
    @discardableResult
    nonisolated func perform(_ kind: CopyStep.Kind, on lease: LeaseID) async throws -> Int {
        if Task.isCancelled { throw DatabaseError.cancelled }
        let step = CopyStep(kind)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                step.park(continuation)
                submit(.copy(step), to: lease)
            }
        } onCancel: {
            thread.post(.cancelLeased(.copy(step), lease))
        }
    }

    nonisolated func performUncancelled(_ kind: CopyStep.Kind, on lease: LeaseID) async throws -> Int {
        let step = CopyStep(kind)
        return try await withCheckedThrowingContinuation { continuation in
            step.park(continuation)
            submit(.copy(step), to: lease)
        }
    }
}

/// A value that a COPY can carry; nil is NULL.
public protocol CopyField: Sendable {
    /// The text that the column's type reads, before escaping.
    var copyText: String? { get }
}

extension String: CopyField { public var copyText: String? { self } }
extension Bool: CopyField { public var copyText: String? { self ? "t" : "f" } }
extension Int: CopyField { public var copyText: String? { String(self) } }
extension Int64: CopyField { public var copyText: String? { String(self) } }
extension Int32: CopyField { public var copyText: String? { String(self) } }
extension UUID: CopyField { public var copyText: String? { uuidString } }
extension ID: CopyField { public var copyText: String? { description } }
extension CalendarDay: CopyField { public var copyText: String? { description } }
extension JSONText: CopyField { public var copyText: String? { text } }
extension Optional: CopyField where Wrapped: CopyField { public var copyText: String? { flatMap(\.copyText) } }

/// To the microsecond, which is what timestamptz keeps and Foundation's own ISO 8601 does not write.
extension Date: CopyField {
    public var copyText: String? {
        let microseconds = ((timeIntervalSinceReferenceDate + secondsFrom2000To2001) * 1_000_000).rounded()
        let microsecondsPerDay = 86_400_000_000.0
        let days = (microseconds / microsecondsPerDay).rounded(.down)
        // A date that no calendar day holds is left to the server to refuse.
        guard abs(days) < 10_000_000, let day = CalendarDay(daysSince2000: Int(days)) else { return "out of range" }
        let rest = Int(microseconds - days * microsecondsPerDay)
        func digits(_ number: Int, _ width: Int) -> String {
            String(String(number + [2: 100, 6: 1_000_000][width, default: 0]).dropFirst())
        }
        let (seconds, fraction) = rest.quotientAndRemainder(dividingBy: 1_000_000)
        return "\(day) \(digits(seconds / 3600, 2)):\(digits(seconds / 60 % 60, 2)):\(digits(seconds % 60, 2)).\(digits(fraction, 6))+00"
    }
}

/// Bytes for a bytea column, in hexadecimal.
extension Array: CopyField where Element == UInt8 {
    public var copyText: String? {
        let digits = Array<UInt8>("0123456789abcdef".utf8)
        return "\\x" + String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
