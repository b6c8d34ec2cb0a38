//! Payments of the virtual POS.

use std::borrow::Cow;

use crate::domain::{
    fields::record,
    meta::EventMeta,
    money::{Money, Rate},
    time::Timestamp,
    vocabulary::{VirtualPosKind, VirtualPosStatus},
};

record! {
    /// A payment of the virtual POS, as its list shows it.
    VirtualPosTransaction = "VirtualPosTransaction" with meta {
        /// Id of the payment. Source: id.
        transaction_id: Option<i64>,
        /// Id of the POS that took it. Source: pos_id.
        pos_id: Option<i64>,
        /// Id of the customer. Source: musteri_id.
        customer_id: Option<i64>,
        /// Id of the collection. Source: tahsilat_id.
        collection_id: Option<i64>,
        /// Id of the dealer. Source: bayi_id.
        dealer_id: Option<i64>,
        /// Id of the invoice details. Source: invoiceInfoId.
        invoice_info_id: Option<i64>,
        /// The merchant's reference of the payment; empty where the source sent none. Source:
        /// referans_kodu.
        reference_no: Cow<'a, str>,
        /// Order id at the bank. Source: order_id.
        order_id: Option<Cow<'a, str>>,
        /// The bank's transaction id. Source: trans_id.
        bank_transaction_id: Option<Cow<'a, str>>,
        /// When the payment was made, UTC; read as Europe/Istanbul. Source: islem_tarihi.
        transacted_at: Option<Timestamp>,
        /// The source's own text of that time. Source: islem_tarihi.
        transacted_at_local: Option<Cow<'a, str>>,
        /// When the payment was stored, UTC; read as Europe/Istanbul. Source: created_at.
        created_at: Option<Timestamp>,
        /// The source's own text of that time. Source: created_at.
        created_at_local: Option<Cow<'a, str>>,
        /// Amount in units of currency, before instalment costs. Source: tutar.
        amount: Option<Money>,
        /// Total charged to the card in units of currency, not one instalment. Source:
        /// taksit_tutar.
        charged_total: Option<Money>,
        /// Amount refunded so far, in units of currency. Source: iade_tutar.
        refunded_amount: Option<Money>,
        /// Commission in percent. Source: taksit_oran.
        commission_rate_pct: Option<Rate>,
        /// Discount in percent. Source: discountRate.
        discount_rate_pct: Option<Rate>,
        /// Currency code, upper case, TL as TRY. Source: para_birimi.
        currency: Option<Cow<'a, str>>,
        /// Number of instalments; 1 means a single payment. Source: taksit.
        installment_count: Option<i32>,
        /// State of the payment. Source: status_detail.status, else durum.
        status: VirtualPosStatus,
        /// The source's own text of the state. Source: status_detail.status.
        status_raw: Option<Cow<'a, str>>,
        /// The source's own code of the state. Source: durum.
        durum_raw: Option<Cow<'a, str>>,
        /// Payment, cancel or refund. Source: tur.
        kind: VirtualPosKind,
        /// The source's own text of the kind. Source: tur.
        kind_raw: Option<Cow<'a, str>>,
        /// The bank's answer code; 00 stands beside success. Source: hata_kodu.
        result_code: Option<Cow<'a, str>>,
        /// The bank's answer text; its presence is no proof of failure. Source: hata_mesaji.
        result_message: Option<Cow<'a, str>>,
        /// Card number, at most the first 6 and the last 4 digits. Source: kredi_kart_no.
        card_masked: Option<Cow<'a, str>>,
        /// Bank that issued the card. Source: kredi_kart_banka.
        issuer_bank: Option<Cow<'a, str>>,
        /// Programme of the card. Source: cc_family.
        card_family: Option<Cow<'a, str>>,
        /// The source's own text of the card's brand. Source: cc_org.
        card_org_raw: Option<Cow<'a, str>>,
        /// The source's own text of the card's type. Source: cc_type.
        card_type_raw: Option<Cow<'a, str>>,
        /// Name of the POS. Source: pos_name.
        pos_name: Option<Cow<'a, str>>,
        /// Address that the payer paid from. Source: ip_adresi.
        client_ip: Option<Cow<'a, str>>,
        /// Description of the payment. Source: aciklama.
        description: Option<Cow<'a, str>>,
        /// Type of the invoice. Source: invoiceType.
        invoice_type: Option<Cow<'a, str>>,
        /// Title on the invoice. Source: invoiceTitle.
        invoice_title: Option<Cow<'a, str>>,
        /// Tax office on the invoice. Source: invoiceTaxOffice.
        invoice_tax_office: Option<Cow<'a, str>>,
        /// Tax number on the invoice. Source: invoiceTaxNumber.
        invoice_tax_number: Option<Cow<'a, str>>,
        /// Name on the invoice. Source: invoiceName.
        invoice_name: Option<Cow<'a, str>>,
        /// Telephone on the invoice. Source: invoicePhone.
        invoice_phone: Option<Cow<'a, str>>,
        /// E-mail address on the invoice. Source: invoiceEmail.
        invoice_email: Option<Cow<'a, str>>,
        /// Address on the invoice. Source: invoiceAddress.
        invoice_address: Option<Cow<'a, str>>,
        /// E-mail addresses to inform. Source: infoEmails.
        info_emails: Option<Cow<'a, str>>,
    }
}
