// Why a bank's file is refused as a whole: where, and what a person can do about it.

/// The first thing that is wrong with a file, and its line. Nothing of the file was used.
public struct BankFileFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// From 1, as editors count.
    public let line: Int
    public let reason: Reason

    public init(line: Int, _ reason: Reason) {
        self.line = line
        self.reason = reason
    }

    public enum Reason: Sendable, Hashable {
        case empty
        case tooLarge(bytesMax: Int)
        /// Another encoding, or characters that XML does not have.
        case notUTF8
        /// It ends before it is whole.
        case truncated
        /// No XML, with what the scanner met.
        case malformed(String)
        /// A `<!DOCTYPE`, or another declaration: these messages have none, and one could make entities.
        case documentType
        case tooDeep(Int)
        case textTooLong(Int)
        /// XML, but no message that is read here: its namespace, or its first element.
        case otherMessage(String)
        case otherVersion(String)
        case missing(String)
        case repeated(String)
        /// Something that is not in its place.
        case unexpected(String)
        /// No amount, or more decimals than its currency has.
        case amount(String)
        case currency(String)
        /// Neither CRDT nor DBIT.
        case direction(String)
        case date(String)
        case tooManyEntries(Int)
    }

    /// The reason as a word of the catalogues, and what it is about.
    public var code: (word: String, detail: String) {
        switch reason {
        case .empty: ("empty", "")
        case .tooLarge(let bytesMax): ("too_large", String(bytesMax / 1024))
        case .notUTF8: ("not_utf8", "")
        case .truncated: ("truncated", "")
        case .malformed(let what): ("malformed", what)
        case .documentType: ("document_type", "")
        case .tooDeep(let max): ("too_deep", String(max))
        case .textTooLong(let max): ("text_too_long", String(max))
        case .otherMessage(let what): ("other_message", what)
        case .otherVersion(let what): ("other_version", what)
        case .missing(let what): ("missing", what)
        case .repeated(let what): ("repeated", what)
        case .unexpected(let what): ("unexpected", what)
        case .amount(let what): ("amount", what)
        case .currency(let what): ("currency", what)
        case .direction(let what): ("direction", what)
        case .date(let what): ("date", what)
        case .tooManyEntries(let max): ("too_many_entries", String(max))
        }
    }

    /// In English, for the command line: `line 12: …`.
    public var description: String { "line \(line): \(sentence)" }

    private var sentence: String {
        switch reason {
        case .empty: "The file is empty."
        case .tooLarge(let bytesMax): "The file is larger than \(bytesMax / 1024) KiB. Ask the bank for one file a day."
        case .notUTF8: "The file is not UTF-8, or holds characters that XML does not allow. Ask the bank for UTF-8."
        case .truncated: "The file ends before it is whole. Fetch it again from the bank."
        case .malformed(let what): "The file is not well-formed XML: \(what)."
        case .documentType: "The file declares a document type. Messages of ISO 20022 have none, so this one did not come from a bank as it is."
        case .tooDeep(let max): "Elements are nested deeper than \(max)."
        case .textTooLong(let max): "A text is longer than \(max) bytes."
        case .otherMessage(let what): "This is no message that is read here: \(what)."
        case .otherVersion(let what): "Version \(what) is not read here. Ask the bank for 001.08, 001.04 or 001.02."
        case .missing(let what): "\(what) is missing."
        case .repeated(let what): "\(what) stands twice."
        case .unexpected(let what): "\(what) is not expected here."
        case .amount(let what): "\"\(what)\" is no amount of its currency."
        case .currency(let what): "\"\(what)\" is no currency that is known."
        case .direction(let what): "\"\(what)\" is neither CRDT nor DBIT."
        case .date(let what): "\"\(what)\" is no date."
        case .tooManyEntries(let max): "There are more than \(max) movements in the file. Ask the bank for one file a day."
        }
    }
}
