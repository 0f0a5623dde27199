// Where refused records go: a CSV file beside the input that says what is wrong with each and holds it as it was, byte for
// byte. Whoever corrects them there can import that very file.
import Foundation

/// A record that an import refused, and why.
public struct RefusedRecord: Sendable, Equatable {
    /// Counted from 1, the header not included.
    public let number: Int
    /// The line on which it begins in the input.
    public let line: Int
    /// What is wrong with it, in words.
    public let reason: String
}

/// Writes the file of refused records; makes it only when there is one.
final class RejectedRecords {
    private let candidates: [String]
    private var handle: FileHandle?
    /// Where the records are; nil while none was refused.
    private(set) var path: String?

    /// - Parameter input: the file that is imported: `residents.csv` gives `residents.rejected.csv` beside it, or in the current
    ///   directory where nothing can be written there.
    init(input: String) {
        let url = URL(fileURLWithPath: input)
        let name = (url.pathExtension.lowercased() == "csv" ? url.deletingPathExtension() : url).lastPathComponent + ".rejected.csv"
        candidates = [url.deletingLastPathComponent().appendingPathComponent(name).path, FileManager.default.currentDirectoryPath + "/" + name]
    }

    /// - Throws: when neither place can be written to: an import must not lose what it refuses.
    func add(_ refused: RefusedRecord, bytes: [UInt8]) throws {
        if handle == nil { try open() }
        let front = [String(refused.number), String(refused.line), refused.reason].map { Array($0.utf8) }
        try handle?.write(contentsOf: Data(ResidentCSV.written(front) + [UInt8(ascii: ",")] + bytes + Array("\r\n".utf8)))
    }

    func close() throws {
        try handle?.synchronize()
        try handle?.close()
        handle = nil
    }

    private func open() throws {
        var failure: any Error = CocoaError(.fileWriteUnknown)
        for candidate in candidates {
            do {
                // 0600: what is refused is personal data like what is not.
                guard FileManager.default.createFile(atPath: candidate, contents: nil, attributes: [.posixPermissions: 0o600]) else {
                    throw CocoaError(.fileWriteNoPermission, userInfo: [NSFilePathErrorKey: candidate])
                }
                let opened = try FileHandle(forWritingTo: URL(fileURLWithPath: candidate))
                try opened.write(contentsOf: Data((ResidentCSV.rejectionColumns + ResidentCSV.columns).joined(separator: ",").utf8 + Array("\r\n".utf8)))
                (handle, path) = (opened, candidate)
                return
            } catch {
                failure = error
            }
        }
        throw failure
    }
}
