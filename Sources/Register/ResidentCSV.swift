// Reads a population-register extract (CSV, RFC 4180) byte by byte. What stands in a record is judged elsewhere (ResidentRecord);
// here it is decided where records begin and end, so that one broken record costs nothing but itself.

/// One record as it stands in the file.
struct RawRecord: Sendable, Equatable {
    /// Counted from 1, the header not included.
    let number: Int
    /// The line on which it begins, counted from 1, the header included.
    let line: Int
    /// Its bytes without the line end, for giving a refused record back unchanged.
    let bytes: [UInt8]
    /// Its fields with quotes undone; or why it cannot be divided into fields.
    let content: Result<[[UInt8]], CSVDefect>
}

/// Why a stretch of bytes is no CSV record.
enum CSVDefect: Error, Equatable, Sendable {
    case quoteInsideField
    case textAfterClosingQuote
    case quoteNeverClosed
    case recordTooLong

    /// The reason in words.
    var reason: String {
        switch self {
        case .quoteInsideField: "a quotation mark stands inside a field that does not begin with one"
        case .textAfterClosingQuote: "something follows the closing quotation mark of a field"
        case .quoteNeverClosed: "a quotation mark is opened and never closed"
        case .recordTooLong: "the record is longer than \(ResidentCSV.recordBytesMax) bytes"
        }
    }
}

/// Why a whole file is refused.
public enum ResidentFileError: Error, Equatable, Sendable, CustomStringConvertible {
    case unreadable(String)
    case empty
    case wrongHeader

    public var description: String {
        switch self {
        case .unreadable(let reason): "The file cannot be read: \(reason)"
        case .empty: "The file is empty. Its first line must be: \(ResidentCSV.columns.joined(separator: ","))"
        case .wrongHeader: "The file's first line must be: \(ResidentCSV.columns.joined(separator: ","))"
        }
    }
}

/// The records of a file, one after another.
struct ResidentCSV: Sequence, IteratorProtocol {
    static let columns = [
        "national_number", "given_names", "family_name", "date_of_birth", "street", "postcode", "locality", "phone", "email", "preferred_language",
    ]
    /// What a file of rejected records has in front: such a file can be corrected and imported as it is.
    static let rejectionColumns = ["record", "line", "reason"]
    /// A record of ordinary length has 110 bytes; one of this size is a missing quotation mark.
    static let recordBytesMax = 65_536

    private let bytes: [UInt8]
    private var offset: Int
    private var line = 2
    private var number = 0
    /// How many fields in front of a record are ours from an earlier import.
    private let leadingFields: Int

    /// - Parameter bytes: the whole file.
    /// - Throws: `ResidentFileError`
    init(_ bytes: [UInt8]) throws {
        guard !bytes.isEmpty else { throw ResidentFileError.empty }
        self.bytes = bytes
        // Spreadsheet programs put a byte order mark first.
        let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        let (header, next) = Self.divide(bytes, from: start)
        switch header.map({ $0.map { String(decoding: $0, as: UTF8.self) } }) {
        case .success(Self.columns): leadingFields = 0
        case .success(Self.rejectionColumns + Self.columns): leadingFields = Self.rejectionColumns.count
        default: throw ResidentFileError.wrongHeader
        }
        offset = next
    }

    /// How many bytes of the file have been read, of `bytesTotal`.
    var bytesRead: Int { offset }
    var bytesTotal: Int { bytes.count }

    mutating func next() -> RawRecord? {
        // A blank line is nobody's record; editors leave them at the end.
        while offset < bytes.count, let end = lineEnd(at: offset) {
            offset = end
            line += 1
        }
        guard offset < bytes.count else { return nil }
        number += 1
        var (content, next) = Self.divide(bytes, from: offset)
        if case .failure(let defect) = content {
            // Nobody can say where a broken record was meant to end. Taking its first line alone gives the next record its chance.
            let end = Self.endOfLine(bytes, from: offset)
            // Found wrong on a later line: the next record's quotation mark was taken for the missing one.
            if defect == .textAfterClosingQuote, next > end { content = .failure(.quoteNeverClosed) }
            next = end
        }
        var end = next
        if end > offset, bytes[end - 1] == newline { end -= 1 }
        if end > offset, bytes[end - 1] == carriageReturn { end -= 1 }
        let fields = content.map { Array($0.dropFirst(leadingFields)) }
        var raw = Array(bytes[offset..<end])
        if leadingFields > 0, case .success(let own) = fields { raw = Self.written(own) }
        let record = RawRecord(number: number, line: line, bytes: raw, content: fields)
        line += bytes[offset..<next].reduce(0) { $0 + ($1 == newline ? 1 : 0) }
        offset = next
        return record
    }

    /// Fields as a record, without its line end (RFC 4180 §2).
    static func written(_ fields: [[UInt8]]) -> [UInt8] {
        Array(fields.map { field -> [UInt8] in
            guard field.contains(where: { [quote, comma, newline, carriageReturn].contains($0) }) else { return field }
            return [quote] + field.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote]
        }.joined(separator: [comma]))
    }

    /// The offset after a line end that begins here; nil where something else begins.
    private func lineEnd(at offset: Int) -> Int? {
        if bytes[offset] == newline { return offset + 1 }
        if bytes[offset] == carriageReturn, offset + 1 < bytes.count, bytes[offset + 1] == newline { return offset + 2 }
        return nil
    }

    private static func endOfLine(_ bytes: [UInt8], from start: Int) -> Int {
        var offset = start
        while offset < bytes.count, bytes[offset] != newline { offset += 1 }
        return Swift.min(offset + 1, bytes.count)
    }

    /// Divides one record into its fields. Returns them and the offset after its line end (CRLF, or LF alone as many programs write).
    private static func divide(_ bytes: [UInt8], from start: Int) -> (Result<[[UInt8]], CSVDefect>, next: Int) {
        var fields: [[UInt8]] = []
        var field: [UInt8] = []
        var offset = start
        var isQuoted = false
        var isClosed = false

        while offset < bytes.count {
            guard offset - start <= recordBytesMax else { return (.failure(isQuoted ? .quoteNeverClosed : .recordTooLong), offset) }
            let byte = bytes[offset]
            offset += 1
            if isQuoted, !isClosed {
                if byte != quote {
                    field.append(byte)
                } else if offset < bytes.count, bytes[offset] == quote {
                    field.append(quote)
                    offset += 1
                } else {
                    isClosed = true
                }
                continue
            }
            switch byte {
            case comma:
                fields.append(field)
                field.removeAll(keepingCapacity: true)
                (isQuoted, isClosed) = (false, false)
            case newline:
                return (.success(fields + [field]), offset)
            case carriageReturn where offset < bytes.count && bytes[offset] == newline:
                return (.success(fields + [field]), offset + 1)
            case quote where field.isEmpty && !isClosed:
                isQuoted = true
            case _ where isClosed:
                return (.failure(.textAfterClosingQuote), offset)
            case quote:
                return (.failure(.quoteInsideField), offset)
            default:
                field.append(byte)
            }
        }
        if isQuoted, !isClosed { return (.failure(.quoteNeverClosed), offset) }
        return (.success(fields + [field]), offset)
    }
}

private let quote = UInt8(ascii: "\"")
private let comma = UInt8(ascii: ",")
private let newline = UInt8(ascii: "\n")
private let carriageReturn = UInt8(ascii: "\r")
