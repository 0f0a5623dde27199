// From a template and a language to the words of a message. Checked at start-up: a short message that does not fit is found there and not by residents.
import Foundation
public import Web

/// The words of the city's messages.
public struct OutgoingTexts: Sendable {
    private let catalogues: [Language: Catalogue]
    private let city: String
    private let address: String

    /// Why messages cannot be written; it says what to change.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case missing(key: String, language: String)
        case tooLong(template: String, language: String)

        public var description: String {
            switch self {
            case .missing(let key, let language): "there is no text \(key) in language \(language)"
            case .tooLong(let template, let language):
                "the short message \"\(template)\" does not fit into one message in language \(language): city.name and base_url are too long together"
            }
        }
    }

    /// What takes the most room in a short message: the longest code there is.
    private static let longestParameters = ["code": "0000 0000", "minutes": "10"]

    /// - Parameters:
    ///   - city: the name in front of each message.
    ///   - baseURL: the one address in them. Never what a request's Host header says.
    ///   - mustFit: whether short messages that would be too long are found now: where a gateway sends them.
    /// - Throws: ``Failure``.
    public init(catalogues: [Language: Catalogue], city: String, baseURL: BaseURL, mustFit: Bool = true) throws {
        self.catalogues = catalogues
        self.city = city
        address = baseURL.origin
        for template in OutgoingTemplate.allCases {
            for language in Language.allCases {
                for key in Self.keys(of: template) where catalogues[language]?.raw(key) == nil { throw Failure.missing(key: key, language: language.tag) }
                if mustFit, template.channels.contains(.sms), shortMessage(template, Self.longestParameters, in: language) == nil {
                    throw Failure.tooLong(template: template.rawValue, language: language.tag)
                }
            }
        }
    }

    private static func keys(of template: OutgoingTemplate) -> [String] {
        template.channels.flatMap { channel -> [String] in
            switch channel {
            case .email, .letter: ["subject", "text"].map { "delivery.\(channel.rawValue).\(template.rawValue).\($0)" }
            case .sms: ["delivery.sms.\(template.rawValue)"]
            }
        }
    }

    /// Subject and text of an e-mail.
    func email(_ template: OutgoingTemplate, _ parameters: [String: String], in language: Language) -> (subject: String, text: String) {
        let key = "delivery.email.\(template.rawValue)"
        let text = [self.text("\(key).text", parameters, language), self.text("delivery.email.footer", [:], language)].joined(separator: "\n\n") + "\n"
        return (self.text("\(key).subject", parameters, language), text)
    }

    /// The text of a short message; nil when it does not fit into one.
    func shortMessage(_ template: OutgoingTemplate, _ parameters: [String: String], in language: Language) -> ShortMessage? {
        ShortMessage(text("delivery.sms.\(template.rawValue)", parameters, language))
    }

    /// Heading and paragraphs of a letter.
    func letter(_ template: OutgoingTemplate, _ parameters: [String: String], in language: Language) -> (subject: String, paragraphs: [String]) {
        let key = "delivery.letter.\(template.rawValue)"
        return (text("\(key).subject", parameters, language), text("\(key).text", parameters, language).split(separator: "\n\n").map(String.init))
    }

    private func text(_ key: String, _ parameters: [String: String], _ language: Language) -> String {
        catalogues[language]?.text(key, parameters.merging(["city": city, "address": address]) { _, own in own }) ?? ""
    }
}
