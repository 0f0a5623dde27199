// From an approved batch to its pain.001 file on disk: a thousand payments at a time are logged as read, opened, written and hashed. A run that was killed left
// a file without its last name; the next run writes it again from the start, and the bytes are the same.
import AccessLog
import Crypto
public import Foundation
public import Postgres
import Primitives
public import Register
import Web

/// Why a file was not written.
public enum PaymentFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// There is no approved batch of this reference.
    case batchUnknown
    /// Another process writes it at this moment.
    case beingWritten
    /// The account of a payment cannot be opened: its resident was erased since, or the city's key is another.
    case accountClosed(position: Int)
    /// The rows give another number or sum than the batch was frozen with.
    case totalsDiffer
    /// The file was finished before with another hash.
    case hashDiffers
    /// The disk refused; what the system said.
    case disk(String)

    public var description: String {
        switch self {
        case .batchUnknown: "there is no approved batch of this reference"
        case .beingWritten: "the file is being written at this moment"
        case .accountClosed(let position): "the account of payment \(position) cannot be opened"
        case .totalsDiffer: "the payments do not add up to the batch's count and control sum"
        case .hashDiffers: "the file differs from the one that was finished before"
        case .disk(let reason): reason
        }
    }
}

/// A finished file.
public struct WrittenPaymentFile: Sendable, Hashable {
    public let path: String
    public let sha256: [UInt8]
    public let bytes: Int
    public let payments: Int
}

/// Writes the files of approved batches into a folder of the data directory.
public struct PaymentFiles: Sendable {
    private let database: Database
    private let vault: ResidentVault
    private let folder: String

    /// Payments that are read, opened and written at a time: a megabyte or so, and well within the five seconds for which what is logged can be read.
    static let paymentsPerRead = 1_000

    /// - Parameters:
    ///   - database: of the role `stoa_app`.
    ///   - folder: made with the first file, for its owner alone.
    public init(database: Database, vault: ResidentVault, folder: String) {
        self.database = database
        self.vault = vault
        self.folder = folder
    }

    /// Writes the file of an approved batch, and notes its hash. Written before, it is written again and compared.
    /// - Parameter progress: payments that are written, of all; called after each read.
    /// - Throws: ``PaymentFileError``, `DatabaseError`, or what `progress` throws.
    public func write(_ reference: String, progress: (Int, Int) async throws -> Void = { _, _ in }) async throws -> WrittenPaymentFile {
        guard let head = try await database.query(FilesToWrite(reference: reference)).first else { throw PaymentFileError.batchUnknown }
        try makeFolder()
        let written = try await write(head, progress)
        let noted = try await database.one(NoteFile(batch: head.batchID, sha256: written.sha256, bytes: written.bytes))
        guard noted == "recorded" || noted == "exists" else { throw PaymentFileError.hashDiffers }
        return written
    }

    /// The references of approved batches whose file is not finished.
    func unfinished() async throws -> [String] {
        try await database.query(FilesToWrite(reference: nil)).map(\.reference)
    }

    func path(_ reference: String) -> String { "\(folder)/\(reference).xml" }

    /// Logs that a finance officer reads all names and accounts of a batch: before its file is given out.
    /// - Returns: false where the batch is not approved or the credential is no finance officer's.
    func logDownload(of batch: PayoutBatch, by credential: CredentialHash) async throws -> Bool {
        var position = 0
        while position < batch.count {
            let entries = Self.entries(batch.count - position)
            let logged = LogReading(credential: credential, batch: batch.id, after: position, entries: entries)
            guard try await database.exclusive({ try await $0.one(logged) }) else { return false }
            position += entries.count
        }
        return true
    }

    private static func entries(_ left: Int) -> [AccessEntryID] { (0..<min(left, paymentsPerRead)).map { _ in .new() } }

    private func write(_ head: PaymentFileHead, _ progress: (Int, Int) async throws -> Void) async throws -> WrittenPaymentFile {
        let target = path(head.reference)
        let file = try PrivateFile(path: target + ".part")
        let form = PaymentFile(head)
        try file.append(form.beginning)
        var (count, sum) = (0, Money.zero(head.controlSum.currency))
        while count < head.count {
            let page = try await payments(of: head, after: count)
            guard !page.isEmpty else { throw PaymentFileError.totalsDiffer }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(page.count * 600)
            for payment in page {
                form.append(payment, to: &bytes)
                sum = try sum.adding(payment.amount)
            }
            try file.append(bytes)
            count += page.count
            try await progress(count, head.count)
        }
        guard count == head.count, sum == head.controlSum else { throw PaymentFileError.totalsDiffer }
        try file.append(PaymentFile.end)
        let (sha256, size) = try file.finish(as: target, expecting: head.sha256)
        return WrittenPaymentFile(path: target, sha256: sha256, bytes: size, payments: count)
    }

    /// The next payments, opened. The entries are committed before anything is given out.
    private func payments(of head: PaymentFileHead, after position: Int) async throws -> [Payment] {
        let entries = Self.entries(head.count - position)
        let sealed = try await database.exclusive { connection in
            guard try await connection.one(LogReading(credential: nil, batch: head.batchID, after: position, entries: entries)) else {
                throw PaymentFileError.batchUnknown
            }
            return try await connection.query(PaymentsUnder(batch: head.batchID, after: position, entries: entries))
        }
        return try sealed.enumerated().map { offset, payment in
            guard payment.position == position + offset + 1 else { throw PaymentFileError.totalsDiffer }
            guard let key = try? vault.unwrap(payment.key),
                let account = try? vault.openAccount(payment.sealedAccount, payment.destination, of: payment.key.holderID, under: key)
            else { throw PaymentFileError.accountClosed(position: payment.position) }
            return Payment(
                endToEndID: payment.endToEndID, amount: Money(minorUnits: payment.minorUnits, currency: head.controlSum.currency), creditor: account)
        }
    }

    private func makeFolder() throws {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw PaymentFileError.disk("\(folder) cannot be made: \(systemError())") }
    }
}

private func systemError() -> String { String(cString: strerror(errno)) }

/// A file of mode 0600 that one process writes at a time, under a name of its own until it is whole.
private final class PrivateFile {
    private let path: String
    private let descriptor: Int32
    private var hash = SHA256()
    private var size = 0

    init(path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw PaymentFileError.disk("\(path) cannot be written: \(systemError())") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw PaymentFileError.beingWritten }
        // What an earlier run left is written again.
        guard ftruncate(descriptor, 0) == 0 else { throw PaymentFileError.disk("\(path) cannot be emptied: \(systemError())") }
    }

    deinit { close(descriptor) }

    func append(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let written = bytes[offset...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            guard written > 0 else { throw PaymentFileError.disk("\(path) cannot be written: \(systemError())") }
            offset += written
        }
        hash.update(data: bytes)
        size += bytes.count
    }

    /// Gives the file its name once it is on the disk.
    /// - Parameter expected: the hash of the file as it was finished before.
    func finish(as name: String, expecting expected: [UInt8]?) throws -> (sha256: [UInt8], size: Int) {
        let digest = Array(hash.finalize())
        if let expected, expected != digest { throw PaymentFileError.hashDiffers }
        guard fsync(descriptor) == 0, rename(path, name) == 0 else { throw PaymentFileError.disk("\(name) cannot be finished: \(systemError())") }
        return (digest, size)
    }
}
