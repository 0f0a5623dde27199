// Beside the requests: writes the files of batches that were approved and have none yet. A file lies on the node that wrote it; `stoa payouts write` makes the
// same one anywhere.
import Foundation
public import Logging

/// The loop from approved batches to their files.
public struct PaymentFileService: Sendable {
    private let files: PaymentFiles
    private let logger: Logger

    /// An approver finds the file on the next page that they open.
    private static let idleWait = Duration.seconds(2)
    /// After an error, for example while the database is away.
    private static let errorWait = Duration.seconds(30)

    public init(files: PaymentFiles, logger: Logger) {
        self.files = files
        self.logger = logger
    }

    /// Works until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            do {
                let hasFailed = try await writeAll()
                try await Task.sleep(for: hasFailed ? Self.errorWait : Self.idleWait)
            } catch {
                if Task.isCancelled { return }
                logger.error("payment files were not looked for; will try again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.errorWait)
            }
        }
    }

    /// One that cannot be written holds up no other.
    /// - Returns: whether any failed.
    func writeAll() async throws -> Bool {
        var hasFailed = false
        for reference in try await files.unfinished() {
            do {
                let file = try await files.write(reference)
                logger.notice("a payment file is written", metadata: ["batch": "\(reference)", "payments": "\(file.payments)"])
            } catch let error as PaymentFileError {
                hasFailed = true
                logger.error("a payment file is not written", metadata: ["batch": "\(reference)", "error": "\(error)"])
            }
        }
        return hasFailed
    }
}
