// Between the scanner and the messages: elements of one namespace, their children by name and their texts, each met once and in order.

/// Walks through a document of one ISO 20022 message.
struct ElementReader {
    private var scanner: XMLScanner
    /// What stands before each name: empty, or a prefix with its colon, as the document element has it.
    private let prefix: String
    let namespace: String

    /// Reads the document element.
    init(_ bytes: [UInt8], bytesMax: Int = XMLScanner.documentBytesMax) throws(BankFileFault) {
        scanner = try XMLScanner(bytes, bytesMax: bytesMax)
        guard case .start(let name, let attributes) = try scanner.next() else { throw BankFileFault(line: 1, .truncated) }
        let parts = name.split(separator: ":", maxSplits: 1)
        prefix = parts.count == 2 ? parts[0] + ":" : ""
        let declaration = prefix.isEmpty ? "xmlns" : "xmlns:" + prefix.dropLast()
        guard parts.last == "Document" else { throw BankFileFault(line: scanner.line, .otherMessage(name)) }
        guard let declared = attributes.first(where: { $0.name == declaration }) else {
            throw BankFileFault(line: scanner.line, .otherMessage("Document without a namespace"))
        }
        namespace = declared.value
    }

    var line: Int { mutating get { scanner.line } }

    mutating func fault(_ reason: BankFileFault.Reason) -> BankFileFault { BankFileFault(line: scanner.line, reason) }

    /// The next child of the element that was begun last; nil at its end.
    /// - Throws: ``BankFileFault`` for text between elements.
    mutating func child() throws(BankFileFault) -> (name: String, attributes: [XMLAttribute])? {
        while true {
            switch try scanner.next() {
            case .start(let name, let attributes): return (try own(name, attributes), attributes)
            case .end: return nil
            case .text(let text): guard text.unicodeScalars.allSatisfy(isSpace) else { throw fault(.unexpected("\"\(text.prefix(40))\"")) }
            case .finished: throw fault(.truncated)
            }
        }
    }

    /// The text of the element that was begun last, without the space around it; nil when it is empty.
    mutating func text() throws(BankFileFault) -> String? {
        var text = ""
        while true {
            switch try scanner.next() {
            case .text(let more):
                text += more
                guard text.utf8.count <= XMLScanner.textBytesMax else { throw fault(.textTooLong(XMLScanner.textBytesMax)) }
            case .start(let name, _): throw fault(.unexpected(name))
            case .finished: throw fault(.truncated)
            case .end:
                let trimmed = Self.trimmed(text)
                return trimmed.isEmpty ? nil : trimmed
            }
        }
    }

    /// The text of the element that was begun last or, where it has children, of the first of them that has one of the names.
    mutating func textOrChild(_ names: Set<String>) throws(BankFileFault) -> String? {
        var text = ""
        var found: String?
        while true {
            switch try scanner.next() {
            case .text(let more): text += more
            case .start(let name, let attributes):
                if names.contains(try own(name, attributes)), found == nil { found = try self.text() } else { try skip() }
            case .finished: throw fault(.truncated)
            case .end:
                let trimmed = Self.trimmed(text)
                guard found == nil || trimmed.isEmpty else { throw fault(.unexpected("\"\(trimmed.prefix(40))\"")) }
                return found ?? (trimmed.isEmpty ? nil : trimmed)
            }
        }
    }

    /// Passes over the element that was begun last, with all that it holds.
    mutating func skip() throws(BankFileFault) {
        var depth = 1
        while depth > 0 {
            switch try scanner.next() {
            case .start: depth += 1
            case .end: depth -= 1
            case .text: continue
            case .finished: throw fault(.truncated)
            }
        }
    }

    /// The text of the first that is there among paths of names below the element that was begun last, such as `Rsn/Cd`.
    mutating func first(of paths: [String]) throws(BankFileFault) -> String? {
        try descend(paths.map { $0.split(separator: "/").map(String.init) })
    }

    private mutating func descend(_ paths: [[String]]) throws(BankFileFault) -> String? {
        var found: String?
        while let element = try child() {
            let further = paths.filter { $0.first == element.name }.map { Array($0.dropFirst()) }
            let value: String?
            if further.contains([]) {
                value = try text()
            } else if further.isEmpty {
                try skip()
                value = nil
            } else {
                value = try descend(further)
            }
            found = found ?? value
        }
        return found
    }

    /// - Throws: ``BankFileFault`` where the element came before.
    mutating func once<Value>(_ earlier: Value?, _ name: String, _ value: Value?) throws(BankFileFault) -> Value? {
        guard earlier == nil else { throw fault(.repeated(name)) }
        return value
    }

    /// After the document element.
    mutating func finish() throws(BankFileFault) {
        guard try scanner.next() == .finished else { throw fault(.unexpected("a second document element")) }
    }

    /// The name without the prefix. An element of another namespace would look like one of ours.
    private mutating func own(_ name: String, _ attributes: [XMLAttribute]) throws(BankFileFault) -> String {
        for attribute in attributes where attribute.name == "xmlns" || attribute.name.hasPrefix("xmlns:") {
            guard attribute.value == namespace else { throw fault(.unexpected("the namespace \(attribute.value)")) }
        }
        guard name.hasPrefix(prefix), !name.dropFirst(prefix.count).contains(":") else { throw fault(.unexpected(name)) }
        return String(name.dropFirst(prefix.count))
    }

    private static func trimmed(_ text: String) -> String {
        var scalars = text.unicodeScalars[...]
        while let first = scalars.first, isSpace(first) { scalars.removeFirst() }
        while let last = scalars.last, isSpace(last) { scalars.removeLast() }
        return String(scalars)
    }
}
