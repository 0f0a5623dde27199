// The way out where none is configured: each message becomes a file that only the server's user can read. For the demo city, for trying out, and for a city that has
// a program of its own take them.
import Foundation
public import Primitives

/// Writes messages into a folder: `<id>.eml` and `<id>.sms.txt`. One that is sent again replaces itself.
public struct FileAdapter: EmailAdapter, ShortMessageAdapter {
    private let folder: String
    private let sender: (name: String, address: EmailAddress)
    private let domain: String
    private let write: @Sendable (_ bytes: [UInt8], _ path: String) throws -> Void

    /// - Parameters:
    ///   - folder: made, with mode 0700, when the first message comes.
    ///   - write: writes a file of mode 0600, whole or not at all.
    public init(
        folder: String, sender: (name: String, address: EmailAddress), domain: String, write: @escaping @Sendable (_ bytes: [UInt8], _ path: String) throws -> Void
    ) {
        self.folder = folder
        self.sender = sender
        self.domain = domain
        self.write = write
    }

    public func send(_ message: EmailMessage) async -> SendOutcome {
        put(message.bytes(from: sender, domain: domain, date: Date()), "\(message.id).eml")
    }

    public func send(_ message: ShortMessage, to number: PhoneNumber, id: OutgoingID) async -> SendOutcome {
        put(Array("To: \(number.text)\n\n\(message.text)\n".utf8), "\(id).sms.txt")
    }

    private func put(_ bytes: [UInt8], _ name: String) -> SendOutcome {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { return .later("folder cannot be made") }
        do {
            try write(bytes, folder + "/" + name)
            return .sent("written to a file")
        } catch {
            return .later("file cannot be written")
        }
    }
}
